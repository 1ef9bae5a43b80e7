// HALT and REDUCE: a dialog over the page, sent in the background. Without this script the same links open a plain form.

/** @param {(text: string) => void} say */
export function start(say, keysOn) {
  for (const link of document.querySelectorAll("[data-opens]")) {
    link.addEventListener("click", (event) => { event.preventDefault(); open(link.dataset.opens); });
  }
  for (const form of document.querySelectorAll("dialog form[data-stop]")) {
    form.querySelector("[data-cancel]").addEventListener("click", (event) => { event.preventDefault(); form.closest("dialog").close(); });
    form.addEventListener("submit", (event) => { event.preventDefault(); send(form, say); });
    form.elements.reason.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
  }
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (event.key === "H" && event.shiftKey && !event.ctrlKey && !event.metaKey && !event.altKey && !typing && keysOn()) {
      event.preventDefault();
      open("halt");
    }
  });
}

function open(action) {
  const dialog = document.getElementById(`ask-${action}`);
  if (document.querySelector("dialog[open]")) return;
  result(dialog, "", "");
  dialog.showModal();
  dialog.querySelector("[data-cancel]").focus();
}

function result(dialog, text, tone) {
  const element = dialog.querySelector("[data-result]");
  element.textContent = text;
  element.dataset.tone = tone;
}

async function send(form, say) {
  const dialog = form.closest("dialog");
  const action = form.dataset.action;
  const button = form.querySelector("button[type=submit]");
  const field = form.elements;
  const body = { action, ...(field.reason.value.trim() && { reason: field.reason.value.trim() }) };
  button.disabled = true;
  try {
    const answer = await fetch("/api/v1/requests", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": field.csrf_token.value, "Idempotency-Key": field.idempotency_key.value },
      body: JSON.stringify(body),
    });
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.detail);
    field.idempotency_key.value = crypto.randomUUID();
    field.reason.value = "";
    dialog.close();
    const how = found.recorded ? "is recorded" : "is raised as a flag: the journal was busy";
    say(`${action.toUpperCase()} ${how}. The trader acts on it next.`);
  } catch (error) {
    const command = form.querySelector("[data-command]").textContent;
    result(dialog, `${action.toUpperCase()} was not recorded: ${error.message}. Run in a terminal: ${command}`, "bad");
  } finally {
    button.disabled = false;
  }
}

// Writes panels into the elements that the templates made. Text only: nothing from the server becomes markup.

/** @typedef {{text: string, tone: string, title: string}} Cell */
/** @typedef {{key: string, cells: Cell[]}} Row */

/** Show a bound text, and hide what surrounds it while it is empty. */
export function bind(name, value) {
  for (const element of document.querySelectorAll(`[data-bind="${name}"]`)) {
    const { text, tone } = typeof value === "string" ? { text: value, tone: element.dataset.tone ?? "" } : value;
    if (element.textContent !== text) element.textContent = text;
    if (tone) element.dataset.tone = tone;
    else delete element.dataset.tone;
    element.hidden = text === "";
  }
  for (const element of document.querySelectorAll(`[data-show="${name}"]`)) element.hidden = value === "";
}

/** @param {HTMLElement} element @param {Cell} cell @param {boolean} flash */
function write(element, cell, flash) {
  if (element.dataset.tone !== cell.tone) element.dataset.tone = cell.tone;
  if (element.title !== cell.title) element.title = cell.title;
  if (element.textContent === cell.text) return;
  element.textContent = cell.text;
  if (!flash) return;
  element.classList.remove("changed");
  void element.offsetWidth; // starts the animation anew
  element.classList.add("changed");
}

function makeRow(columns, row) {
  const line = document.createElement("tr");
  line.dataset.key = row.key;
  columns.forEach((column, index) => {
    const element = document.createElement(index === 0 ? "th" : "td");
    if (index === 0) element.scope = "row";
    element.className = column.kind;
    element.dataset.label = column.label;
    line.append(element);
  });
  return line;
}

/** Update a table's rows by key: rows that stay keep their element, so focus and selection stay too. */
export function rows(table, panel) {
  const body = table.tBodies[0];
  const known = new Map([...body.rows].map((line) => [line.dataset.key, line]));
  panel.rows.forEach((row, index) => {
    const old = known.get(row.key);
    known.delete(row.key);
    const line = old ?? makeRow(panel.columns, row);
    row.cells.forEach((cell, i) => write(line.cells[i], cell, Boolean(old)));
    if (body.rows[index] !== line) body.insertBefore(line, body.rows[index] ?? null);
  });
  for (const line of known.values()) line.remove();
}

/** Show a panel's state and its note: beside the title, or in place of what is not there. */
export function note(section, panel) {
  const empty = panel.state === "empty";
  section.dataset.state = panel.state;
  for (const [name, hidden] of [["note", empty], ["empty", !empty]]) {
    const element = section.querySelector(`[data-${name}]`);
    element.textContent = panel.note;
    element.hidden = hidden;
  }
}

export function table(id, panel) {
  const section = document.getElementById(`panel-${id}`);
  note(section, panel);
  section.querySelector(".scroll").hidden = panel.state === "empty";
  rows(section.querySelector("table"), panel);
}

export function facts(id, panel) {
  const section = document.getElementById(`panel-${id}`);
  section.dataset.state = panel.state;
  for (const fact of panel.facts) {
    const element = section.querySelector(`[data-key="${fact.key}"]`);
    write(element.querySelector("[data-value]"), fact.value, false);
    element.querySelector("[data-hint]").textContent = fact.hint;
  }
}

export function frame(panel) {
  for (const [name, value] of Object.entries(panel)) bind(`frame.${name}`, value);
  document.body.dataset.mode = panel.mode;
  const strip = document.getElementById("state");
  strip.dataset.state = panel.state;
  strip.dataset.running = panel.running;
  document.title = `${panel.state} · ${panel.mode} · RoboTrader`;
}

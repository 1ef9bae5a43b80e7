// The one-time code is the URL's fragment: it is taken out of the address bar, then sent once by the plain form.
const form = document.getElementById("login");
const status = document.getElementById("login-status");

function redeem() {
  const code = location.hash.slice(1);
  if (!code) return false;
  history.replaceState(null, "", "/login");
  status.textContent = "Signing in…";
  form.elements.code.value = code;
  form.requestSubmit();
  return true;
}

/** Coming from another site the browser keeps the cookie back (SameSite=Strict): one look from here finds it. */
async function signedIn() {
  const answer = await fetch("/events", { method: "HEAD" });
  return answer.ok;
}

addEventListener("hashchange", redeem); // the link was opened in a tab that shows this page already
if (!redeem()) {
  form.elements.code.focus();
  signedIn().then((yes) => yes && location.replace("/"), () => {});
}

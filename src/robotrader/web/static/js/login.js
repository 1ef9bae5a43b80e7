// The one-time code is the URL's fragment: it is taken out of the address bar, then sent once by the plain form.
const form = document.getElementById("login");
const status = document.getElementById("login-status");
const code = location.hash.slice(1);

async function signedIn() {
  const answer = await fetch("/api/v1/status", { headers: { Accept: "application/json" } });
  return answer.ok;
}

if (code) {
  history.replaceState(null, "", "/login");
  status.textContent = "Signing in…";
  form.elements.code.value = code;
  form.requestSubmit();
} else {
  // Coming from another site the browser keeps the cookie back (SameSite=Strict): one look from here finds it.
  signedIn().then((yes) => yes && location.replace("/"), () => {});
  form.elements.code.focus();
}

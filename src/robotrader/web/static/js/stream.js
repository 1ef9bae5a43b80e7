// One stream of server-sent events per tab: reconnects, says what it has seen, notices when it is dead or not allowed.

const SILENCE_MS = 50_000; // the server says something every 15 s
const RETRY_MS = 3_000;

/**
 * @param {string[]} names events to hand over
 * @param {(name: string, data: object) => void} receive
 * @param {(state: "live" | "lost" | "denied" | "full", detail: string) => void} tell
 */
export function listen(names, receive, tell) {
  let seen = document.body.dataset.seq;
  let source = null;
  let silence = 0;

  function alive(event) {
    if (event?.lastEventId) seen = event.lastEventId;
    clearTimeout(silence);
    silence = setTimeout(() => restart("nothing was heard for a while"), SILENCE_MS);
  }

  function connect() {
    source = new EventSource(`/events?after=${encodeURIComponent(seen)}`);
    source.addEventListener("open", () => { alive(); tell("live", ""); });
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) refused();
      else tell("lost", "the connection broke");
    });
    source.addEventListener("beat", alive);
    source.addEventListener("problem", (event) => { alive(event); tell("lost", JSON.parse(event.data).detail); });
    for (const name of names) {
      source.addEventListener(name, (event) => { alive(event); tell("live", ""); receive(name, JSON.parse(event.data)); });
    }
  }

  function restart(why) {
    source.close();
    tell("lost", why);
    setTimeout(connect, RETRY_MS);
  }

  /** The server answered, but not with a stream: find out why, then try again. */
  async function refused() {
    clearTimeout(silence);
    let status = 0;
    try {
      status = (await fetch("/events", { method: "HEAD" })).status;
    } catch {
      // not even an answer: lost
    }
    if (status === 401) return tell("denied", "");
    tell(status === 429 ? "full" : "lost", "the dashboard does not answer");
    setTimeout(connect, RETRY_MS);
  }

  connect();
}

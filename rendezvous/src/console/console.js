"use strict";
// Keeps a page live: asks for it again and puts in the new parts. Without it the page still works.

const EVERY_MS = 2000;

// A link may carry the token behind "#token=": that part is not sent with the request for the page.
const handed = new URLSearchParams(location.hash.slice(1)).get("token");
const input = document.querySelector("form[action='/sign-in'] input");
if (handed) {
  history.replaceState(null, "", location.pathname);
  if (input) {
    input.value = handed;
    input.form.submit();
  }
}

const select = document.querySelector("form.choose select");
if (select) select.addEventListener("change", () => select.form.submit());

// What cannot be taken back is asked for twice.
document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

let asking = false;
async function refresh() {
  const live = document.querySelectorAll("[data-live]");
  // Whoever writes in a form there is not disturbed.
  if (asking || document.hidden || live.length === 0 || document.activeElement?.closest("[data-live]")) return;
  asking = true;
  const away = document.getElementById("away");
  try {
    const reply = await fetch(location.href, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    for (const part of live) {
      const fresh = page.getElementById(part.id);
      if (fresh) part.replaceWith(document.adoptNode(fresh));
    }
    if (away) away.hidden = true;
  } catch {
    if (away) away.hidden = false;
  } finally {
    asking = false;
  }
}
setInterval(refresh, EVERY_MS);

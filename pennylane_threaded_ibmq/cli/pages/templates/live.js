"use strict";
// Looks at the page again now and then, and puts what is new in place of what is old.
const state = document.getElementById("state");
const { live, home } = document.body.dataset;
let tag = "";

async function look() {
  try {
    const answer = await fetch(location.href, { headers: tag ? { "If-None-Match": tag } : {} });
    if (answer.ok) {
      tag = answer.headers.get("ETag") || "";
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = document.querySelector("main");
      const fresh = page.querySelector("main");
      if (fresh && fresh.innerHTML !== main.innerHTML) {
        main.replaceWith(fresh);
      }
    } else if (answer.status === 404) {
      location.href = home;
      return;
    }
    state.textContent = "live";
  } catch {
    state.textContent = "the server has ended";
  }
  setTimeout(look, 1000 * live);
}

setTimeout(look, 1000 * live);

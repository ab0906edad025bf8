// Conveniences. Every page works without this file, only less comfortably.
"use strict";

const DAY = 24 * 3600 * 1000;

function setUpTrip(form) {
  const from = form.elements.check_in;
  const to = form.elements.check_out;
  const keepOrder = () => {
    if (!from.value) return;
    const next = new Date(new Date(from.value).getTime() + DAY).toISOString().slice(0, 10);
    to.min = next;
    if (to.value && to.value < next) to.value = next;
  };
  from.addEventListener("change", keepOrder);
  keepOrder();
}

function setUpFilters() {
  for (const field of document.querySelectorAll("[data-apply]")) {
    field.addEventListener("change", () => field.form.requestSubmit());
  }
  const filters = document.querySelector("[data-filters]");
  if (filters && window.matchMedia("(max-width: 52rem)").matches) filters.open = false;
  const search = document.getElementById("search");
  if (search) {
    // Empty fields do not belong in the address.
    search.addEventListener("formdata", (event) => {
      for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
    });
  }
}

function setUpOnce(form) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    const button = form.querySelector("[data-busy]");
    button.textContent = button.dataset.busy;
    button.setAttribute("aria-busy", "true");
  });
}

async function refreshLive() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (answer.redirected) return location.reload();
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("live");
  if (!fresh) return location.reload();
  const live = document.getElementById("live");
  if (fresh.dataset.status !== live.dataset.status) {
    document.querySelector("[data-announce]").textContent = fresh.dataset.status;
    document.title = page.title;
  }
  live.replaceWith(fresh);
}

function follow() {
  const { follow: address, events: names } = document.getElementById("live")?.dataset ?? {};
  if (!address) return;
  const events = new EventSource(address);
  let refreshing = Promise.resolve();
  const told = (event) => {
    refreshing = refreshing.then(async () => {
      const live = document.getElementById("live");
      if (JSON.parse(event.data).version <= Number(live.dataset.version)) return;
      await refreshLive();
      if (!document.getElementById("live").dataset.follow) events.close();
    }).catch((error) => console.error("this booking could not be shown anew; the next event tries again", error));
  };
  for (const name of names.split(" ")) events.addEventListener(name, told);
}

document.documentElement.classList.add("js");
document.querySelectorAll("[data-trip]").forEach(setUpTrip);
document.querySelectorAll("[data-once]").forEach(setUpOnce);
setUpFilters();
follow();
window.addEventListener("pageshow", (event) => {
  // A page that comes back from the browser's memory may be sent again.
  if (event.persisted) location.reload();
});

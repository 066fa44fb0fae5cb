// What every page does: filters submit themselves, "select all" works, charts are drawn from data, an idle desktop locks.
"use strict";
// Loaded before the page's body: on a slow line nobody meets a list or a button that does not answer yet.
document.addEventListener("change", (event) => {
  const target = event.target;
  if (target.matches("[data-submit]")) target.form.requestSubmit();
  if (target.matches("[data-check-all]"))
    for (const box of target.closest("table").querySelectorAll("tbody input[type=checkbox]:not(:disabled)")) box.checked = target.checked;
  if (target.type === "checkbox") {
    for (const counter of document.querySelectorAll("[data-count-checked]"))
      counter.textContent = document.querySelectorAll("tbody input[type=checkbox]:checked").length;
    for (const button of document.querySelectorAll("[data-needs-checked]"))
      button.disabled = document.querySelectorAll("tbody input[type=checkbox]:checked").length === 0;
  }
});
document.addEventListener("click", (event) => {
  // A row's own button acts on that row alone, whatever else is ticked.
  const button = event.target.closest("[data-only]");
  if (button) for (const box of button.form.querySelectorAll("tbody input[type=checkbox]")) box.checked = false;
});
document.addEventListener("submit", (event) => {
  // One press is enough: a second one while the first is under way does nothing.
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "1";
  // Where somebody who declines to sign is led back to.
  if (event.target.method === "post") sessionStorage.setItem("shelian.before_signing", location.pathname + location.search);
  setTimeout(() => delete event.target.dataset.sent, 4000);
});
document.addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll("[data-chart]")) {
    const chart = echarts.init(box, null, { renderer: "svg" });
    chart.setOption(JSON.parse(box.dataset.chart));
    addEventListener("resize", () => chart.resize());
  }
  if (document.body.hasAttribute("data-signed-in")) {
    const limit = Number(document.body.dataset.idleSeconds) * 1000;
    let last = Date.now();
    for (const kind of ["pointerdown", "keydown", "scroll"]) addEventListener(kind, () => (last = Date.now()), { passive: true });
    setInterval(() => {
      if (Date.now() - last > limit) location.replace("/login");
    }, 15000);
  }
});

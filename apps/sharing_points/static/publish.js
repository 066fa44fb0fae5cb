// Shows what an order will cost while it is filled in; the chain decides when it is signed.
"use strict";
for (const form of document.querySelectorAll("[data-publish]")) {
  const kind = form.querySelector("[data-kind]");
  const units = form.querySelector("[data-units]");
  const shown = form.querySelector("[data-estimate]");
  const balance = form.querySelector("[data-balance]");
  const warning = form.querySelector("[data-too-few]");
  const update = () => {
    const weight = Number(kind.selectedOptions[0].dataset.weight);
    const points = Math.floor((Number(units.value) * weight + 50) / 100);
    shown.textContent = weight ? String(points) : "—";
    warning.hidden = !balance || points <= Number(balance.dataset.balance);
  };
  form.addEventListener("change", update);
  update();
}

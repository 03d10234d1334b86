// Light, dark, or as the system: a button that goes through the three and remembers.

import { svg } from "./dom.js";

const CHOICES = ["system", "light", "dark"];
const SAID = { system: "as the system", light: "light", dark: "dark" };
const ICONS = {
  system: "M3 4.5h14v9H3zM7.5 17h5M10 13.5V17",
  light: "M10 6.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7M10 1.8v1.6M10 16.6v1.6M1.8 10h1.6M16.6 10h1.6M4.2 4.2l1.1 1.1M14.7 14.7l1.1 1.1M4.2 15.8l1.1-1.1M14.7 5.3l1.1-1.1",
  dark: "M16.5 12.2A7 7 0 0 1 7.8 3.5a7 7 0 1 0 8.7 8.7",
};

const system = matchMedia("(prefers-color-scheme: dark)");

function stored() {
  try {
    const found = localStorage.getItem("theme");
    return CHOICES.includes(found) ? found : "system";
  } catch {
    return "system";
  }
}

function apply(choice, button, store) {
  const dark = choice === "dark" || (choice === "system" && system.matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  button.setAttribute("aria-label", `Colours: ${SAID[choice]}`);
  button.title = `Colours: ${SAID[choice]}`;
  button.replaceChildren(svg("svg", { viewBox: "0 0 20 20", "aria-hidden": "true" }, svg("path", { d: ICONS[choice] })));
  store.set({ theme: dark ? "dark" : "light" });
}

export function themeButton(button, store) {
  let choice = stored();
  apply(choice, button, store);
  button.addEventListener("click", () => {
    choice = CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length];
    try { localStorage.setItem("theme", choice); } catch { /* it holds for this visit */ }
    apply(choice, button, store);
  });
  system.addEventListener("change", () => apply(choice, button, store));
}

// Light or dark: as the system says, until the switch says otherwise.

// What paints its own pixels and must do so again in other colors.
const redrawOnTheme = new Set();

function startTheme() {
  const button = document.getElementById("theme");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const now = () => document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light");
  const label = () => {
    const other = now() === "dark" ? "light" : "dark";
    button.textContent = other === "dark" ? "Dark" : "Light";
    button.setAttribute("aria-label", `Switch to ${other} colors`);
    for (const chart of redrawOnTheme) chart.draw();
  };
  const saved = remembered();
  if (saved) document.documentElement.dataset.theme = saved;
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = now() === "dark" ? "light" : "dark";
    remembered(document.documentElement.dataset.theme);
    label();
    // Where this page is one of several in a file, all of them follow.
    if (parent !== window) parent.postMessage({ theme: document.documentElement.dataset.theme }, "*");
  });
  window.addEventListener("message", (event) => {
    const theme = event.data?.theme;
    if (event.source !== parent || (theme !== "dark" && theme !== "light")) return;
    document.documentElement.dataset.theme = theme;
    label();
  });
  system.addEventListener("change", label);
  label();
}

/** The choice of an earlier visit, or none: some browsers keep nothing for a file. */
function remembered(theme) {
  try {
    if (theme) localStorage.setItem("tac-theme", theme);
    const found = localStorage.getItem("tac-theme");
    return found === "dark" || found === "light" ? found : null;
  } catch {
    return null;
  }
}

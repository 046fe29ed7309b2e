// The pages of several groupings in one file. A page becomes a document of its own when it is first shown.
const tabs = [...document.querySelectorAll("[role=tab]")];
const frames = tabs.map((_, at) => document.getElementById(`frame-${at}`));
const both = document.getElementById("both");
let shown = 0;
// The page on the right where two are side by side.
let beside = null;

function show(at) {
  const other = shown;
  shown = at;
  if (beside !== null && beside === at) beside = other;
  draw();
}

function draw() {
  tabs.forEach((tab, at) => {
    const visible = at === shown || at === beside;
    tab.setAttribute("aria-selected", String(visible));
    tab.tabIndex = at === shown ? 0 : -1;
    if (visible) load(at);
    frames[at].hidden = !visible;
    frames[at].style.order = at === beside ? 1 : 0;
    frames[at].classList.toggle("second", at === beside);
  });
  both.setAttribute("aria-pressed", String(beside !== null));
}

function load(at) {
  const text = document.getElementById(`page-${at}`);
  if (!text) return;
  // Written into the frame, it has this file's address, so that its links within itself stay within it.
  const page = frames[at].contentDocument;
  page.open();
  page.write(JSON.parse(text.textContent));
  page.close();
  // A page holds thousands of pictures: it is kept once.
  text.remove();
  paint(frames[at]);
}

function paint(frame) {
  const theme = document.documentElement.dataset.theme;
  if (theme) frame.contentWindow?.postMessage({ theme }, "*");
}

tabs.forEach((tab, at) => tab.addEventListener("click", () => show(at)));
document.getElementById("tabs").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  show((shown + step + tabs.length) % tabs.length);
  tabs[shown].focus();
});
both.addEventListener("click", () => {
  beside = beside === null ? (shown + 1) % tabs.length : null;
  draw();
});
// Whoever switches the colors of one page means all of them.
window.addEventListener("message", (event) => {
  const theme = event.data?.theme;
  if ((theme !== "dark" && theme !== "light") || !frames.some((frame) => frame.contentWindow === event.source)) return;
  document.documentElement.dataset.theme = theme;
  for (const frame of frames) if (frame.contentWindow !== event.source) paint(frame);
});
both.hidden = tabs.length < 2;
draw();

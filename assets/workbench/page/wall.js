// A wall of any number of cards: only those near the window are elements, the others keep their place.

/** Cards of one block; full rows in one to six columns. */
const BLOCK = 60;
const AHEAD = "900px";
const CARD_HEIGHT = 350;

/** The wall of items; `draw(item)` gives the content of a card's list item. */
function cardWall(items, draw) {
  const wall_ = el("div", { class: "blocks" });
  const blocks = [];
  const fill = (block) => {
    if (block.firstChild) return;
    const first = Number(block.dataset.first);
    block.append(...items.slice(first, first + BLOCK).map((item) => el("li", { class: "choosable" }, draw(item))));
    block.style.minHeight = "";
    whenNear([...block.querySelectorAll(".mosaic")], fillMosaic);
  };
  const clear = (block) => {
    if (!block.firstChild || block.contains(document.activeElement)) return;
    // It stays as high as it was: nothing jumps.
    block.style.minHeight = `${block.offsetHeight}px`;
    block.replaceChildren();
  };
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) if (!isIntersecting) clear(target);
      for (const { target, isIntersecting } of entries) if (isIntersecting) fill(target);
    },
    { rootMargin: AHEAD },
  );
  for (let first = 0; first < items.length; first += BLOCK) {
    const block = el("ul", { class: "cards", "data-first": first });
    blocks.push(block);
    if (first === 0) fill(block);
    else block.style.minHeight = `${Math.ceil(Math.min(BLOCK, items.length - first) / columnsNow()) * CARD_HEIGHT}px`;
    wall_.append(block);
    observer.observe(block);
  }
  wall_.addEventListener("keydown", (event) => {
    const here = event.target.closest("li");
    if (!here || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " " && event.target.matches("a.card")) here.querySelector(".tick").click();
    else {
      const block = here.parentNode;
      const place = Number(block.dataset.first) + [...block.children].indexOf(here);
      const to = cardAfter(place, event.key, items.length, getComputedStyle(block).gridTemplateColumns.split(" ").length);
      if (to === null) return;
      const there = blocks[Math.floor(to / BLOCK)];
      fill(there);
      there.children[to % BLOCK].querySelector("a.card").focus();
    }
    event.preventDefault();
  });
  return wall_;
}

/** A guess, for places that were not drawn yet. */
function columnsNow() {
  return Math.max(Math.floor(Math.min(window.innerWidth - 90, 1590) / 312), 1);
}

/** The place that a key leads to; null for any other key. */
function cardAfter(place, key, size, columns) {
  const to = { ArrowRight: place + 1, ArrowLeft: place - 1, ArrowDown: place + columns, ArrowUp: place - columns, Home: 0, End: size - 1 }[key];
  if (to === undefined) return null;
  return to >= 0 && to < size ? to : place;
}

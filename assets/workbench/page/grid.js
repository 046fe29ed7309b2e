// A grid of any number of images: only the rows near the window are elements, and only their images are asked for.

const PAGE = 200;
const GAP = 10;
const NARROWEST = 150;
/** The images that are chosen, by id; kept while one goes from view to view. */
const chosen = new Map();

/** A grid of `size` images; `load(start, count)` gives a page of them. */
function imageGrid(size, load) {
  const box = el("div", { class: "grid", role: "listbox", "aria-label": "Images", "aria-multiselectable": "true", tabindex: "0" });
  const pages = new Map();
  const tiles = new Map();
  let columns = 1;
  let side = NARROWEST;
  let active = 0;
  let anchor = 0;

  function measure() {
    const width = box.clientWidth || 800;
    columns = Math.max(Math.floor((width + GAP) / (NARROWEST + GAP)), 2);
    side = (width - GAP * (columns - 1)) / columns;
    box.style.height = `${Math.ceil(size / columns) * (side + GAP)}px`;
    for (const tile of tiles.values()) tile.remove();
    tiles.clear();
    draw();
  }

  function draw() {
    const top = -box.getBoundingClientRect().top;
    const rows = [Math.floor((top - 600) / (side + GAP)), Math.ceil((top + window.innerHeight + 600) / (side + GAP))];
    const [first, last] = [Math.max(rows[0], 0) * columns, Math.min(Math.max(rows[1], 0) * columns, size)];
    for (const [place, tile] of tiles) {
      if (place >= first && place < last) continue;
      tile.remove();
      tiles.delete(place);
    }
    for (let place = first; place < last; place += 1) if (!tiles.has(place)) put(place);
  }

  function put(place) {
    const image = at(place);
    const tile = el("div", { class: "tile", role: "option", id: `tile-${place}`, "data-place": place });
    tile.style.width = tile.style.height = `${side}px`;
    tile.style.transform = `translate(${(place % columns) * (side + GAP)}px, ${Math.floor(place / columns) * (side + GAP)}px)`;
    tiles.set(place, tile);
    box.append(tile);
    if (image) fill(tile, image, place);
  }

  function fill(tile, image, place) {
    tile.replaceChildren(picture(image), el("span", { class: "tick", "aria-hidden": "true" }));
    tile.title = `${image.id}\n${title(groupById.get(image.group))}${image.score === undefined ? "" : `\nlikeness ${image.score}`}`;
    tile.setAttribute("aria-label", image.id);
    if (image.curated) tile.append(el("span", { class: "badges" }, el("span", { class: "badge" }, "yours")));
    if (image.score !== undefined) tile.append(el("span", { class: "score", title: "likeness" }, image.score.toFixed(2)));
    mark(tile, image, place);
  }

  function mark(tile, image, place) {
    tile.setAttribute("aria-selected", String(chosen.has(image.id)));
    tile.classList.toggle("active", place === active && document.activeElement === box);
  }

  /** The images of a page: null until they are there, and `coming` waits for them. */
  function page(place) {
    const number = Math.floor(place / PAGE);
    if (!pages.has(number)) {
      const found = { images: null };
      pages.set(number, found);
      found.coming = load(number * PAGE, PAGE).then(
        (images) => {
          found.images = images;
          images.forEach((image, offset) => {
            const tile = tiles.get(number * PAGE + offset);
            if (tile) fill(tile, image, number * PAGE + offset);
          });
        },
        (error) => {
          pages.delete(number);
          tell(error.message);
        },
      );
    }
    return pages.get(number);
  }

  function at(place) {
    return page(place).images?.[place % PAGE];
  }

  /** The image at a place, also where nobody has looked yet. */
  async function reach(place) {
    await page(place).coming;
    return at(place);
  }

  function remark() {
    for (const [place, tile] of tiles) {
      const image = at(place);
      if (image) mark(tile, image, place);
    }
    if (tiles.has(active)) box.setAttribute("aria-activedescendant", `tile-${active}`);
  }

  function choose(place, on) {
    const image = at(place);
    if (!image) return;
    if (on) chosen.set(image.id, image);
    else chosen.delete(image.id);
  }

  function toggle(place) {
    const image = at(place);
    if (image) choose(place, !chosen.has(image.id));
    anchor = place;
  }

  async function range(to) {
    const [first, last] = [Math.min(anchor, to), Math.max(anchor, to)];
    busy(true);
    try {
      for (let place = first; place <= last; place += PAGE) await reach(place);
      await reach(last);
    } finally {
      busy(false);
    }
    if (!box.isConnected) return;
    for (let place = first; place <= last; place += 1) choose(place, true);
    remark();
    drawSelection();
  }

  function go(place) {
    active = Math.min(Math.max(place, 0), size - 1);
    const row = box.getBoundingClientRect().top + Math.floor(active / columns) * (side + GAP);
    if (row < 80) window.scrollBy(0, row - 80);
    else if (row + side > window.innerHeight - 80) window.scrollBy(0, row + side - window.innerHeight + 80);
    draw();
  }

  box.addEventListener("click", (event) => {
    const tile = event.target.closest(".tile");
    if (!tile) return;
    active = Number(tile.dataset.place);
    if (event.shiftKey) range(active);
    else if (event.ctrlKey || event.metaKey || chosen.size || event.target.closest(".tick")) toggle(active);
    else viewer.open(reach, active, size);
    remark();
    drawSelection();
  });
  box.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
    if (event.key in steps) {
      if (event.shiftKey) choose(active, true);
      go(active + steps[event.key]);
      if (event.shiftKey) choose(active, true);
    } else if (event.key === " ") toggle(active);
    else if (event.key === "Enter") viewer.open(reach, active, size);
    else if (event.key === "a" && (event.ctrlKey || event.metaKey)) document.getElementById("choose-all")?.click();
    else return;
    event.preventDefault();
    remark();
    drawSelection();
  });
  box.addEventListener("focus", remark);
  box.addEventListener("blur", remark);
  const follow = () => (box.isConnected ? draw() : window.removeEventListener("scroll", follow));
  window.addEventListener("scroll", follow, { passive: true });
  new ResizeObserver(() => box.isConnected && measure()).observe(box);
  const focus = (place) => {
    active = Math.min(place, size - 1);
    box.focus({ preventScroll: true });
  };
  return { box, remark, focus, place: () => active };
}

// A wall of any number of cards: only those near the window are elements, the others keep their place.

const AHEAD = "900px";
/** So many are there at once, before the window is known. */
const AT_FIRST = 24;

/** A list of cards; `draw(item)` gives the content of one. */
function cardWall(items, draw) {
  const list = el("ul", { class: "cards" });
  const places = new Map();
  const fill = (place) => {
    if (place.firstChild) return;
    place.append(...draw(places.get(place)));
    place.style.minHeight = "";
    for (const mosaic of place.querySelectorAll(".mosaic")) fillMosaic(mosaic);
  };
  const clear = (place) => {
    if (!place.firstChild || place.contains(document.activeElement)) return;
    // The row stays as high as it was: nothing jumps.
    place.style.minHeight = `${place.offsetHeight}px`;
    place.replaceChildren();
  };
  const observer = new IntersectionObserver(
    (entries) => {
      // Heights are read before anything is drawn.
      for (const { target, isIntersecting } of entries) if (!isIntersecting) clear(target);
      for (const { target, isIntersecting } of entries) if (isIntersecting) fill(target);
    },
    { rootMargin: AHEAD },
  );
  for (const [number, item] of items.entries()) {
    const place = el("li", { class: "choosable" });
    places.set(place, item);
    if (number < AT_FIRST) fill(place);
    list.append(place);
    observer.observe(place);
  }
  list.addEventListener("keydown", (event) => {
    const here = event.target.closest("li");
    if (!here || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " " && event.target.matches("a.card")) here.querySelector(".tick").click();
    else if (!goFrom(list, here, event.key, fill)) return;
    event.preventDefault();
  });
  return list;
}

/** Put the focus on another card by an arrow, Home or End. */
function goFrom(list, here, key, fill) {
  const all = list.children;
  const columns = getComputedStyle(list).gridTemplateColumns.split(" ").length;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
  const place = [...all].indexOf(here);
  const to = key === "Home" ? 0 : key === "End" ? all.length - 1 : key in steps ? place + steps[key] : -1;
  if (!(key in steps) && key !== "Home" && key !== "End") return false;
  if (all[to]) {
    fill(all[to]);
    all[to].querySelector("a.card").focus();
  }
  return true;
}

// The wall: every group as a card.

const SORTS = {
  size: ["Largest first", (a, b) => b.size - a.size],
  name: ["By name", (a, b) => title(a).localeCompare(title(b))],
  unsure: ["Least sure name first", (a, b) => (a.sureness ?? 2) - (b.sureness ?? 2)],
  yours: ["Corrected first", (a, b) => Number(b.curated) - Number(a.curated)],
};
const wall = { sort: "size", filter: "" };
/** The groups that are chosen, to be merged. */
const chosenGroups = new Set();

function groupsView() {
  const wanted = wall.filter.toLocaleLowerCase();
  const fits = (group) => [title(group), ...group.alternatives].some((text) => text.toLocaleLowerCase().includes(wanted));
  const sorted = store.groups.filter(fits).sort(SORTS[wall.sort][1]);
  const [found, aside] = [sorted.filter((group) => !group.aside), sorted.filter((group) => group.aside)];
  const cards = found.map(groupCard);
  const asideCards = aside.map(groupCard);
  whenNear([...cards, ...asideCards].map((card) => card.querySelector(".mosaic")), fillMosaic);
  const sorts = Object.entries(SORTS).map(([name, [label]]) => el("option", { value: name, selected: name === wall.sort }, label));
  const filter = el("input", { type: "search", id: "filter", value: wall.filter, placeholder: "Filter by name", "aria-label": "Filter groups by name" });
  filter.addEventListener("input", () => {
    wall.filter = filter.value;
    render();
    const again = document.getElementById("filter");
    again.focus();
    again.setSelectionRange(again.value.length, again.value.length);
  });
  const unread = store.unreadable ? ` · ${count(store.unreadable)} unreadable` : "";
  return [
    el(
      "div",
      { class: "lead" },
      el("h2", { tabindex: "-1" }, wanted ? `${plural(found.length, "group")} of ${count(store.groups.length)}` : plural(found.length, "group")),
      el("p", { class: "note" }, `${plural(store.images, "image")}${unread}`),
    ),
    el(
      "div",
      { class: "toolbar" },
      filter,
      el("label", { class: "sort" }, el("span", { class: "hidden" }, "Order"), el("select", { id: "sort", on: { change: (event) => ((wall.sort = event.target.value), render()) } }, sorts)),
    ),
    Object.keys(store.tags).length ? el("p", { class: "chips", "aria-label": "Tags" }, Object.entries(store.tags).map(([tag, many]) => el("a", { class: "chip", href: `#/tag/${encodeURIComponent(tag)}` }, isolated(tag), ` ${count(many)}`))) : null,
    cards.length || asideCards.length ? el("ul", { class: "cards" }, cards) : emptyState("No group fits", `No name holds “${wall.filter}”.`),
    asideCards.length ? el("details", { class: "aside", open: !cards.length }, el("summary", {}, `${plural(asideCards.length, "group")} set aside`), el("ul", { class: "cards" }, asideCards)) : null,
  ];
}

/** What people decided about a group as a whole. */
function marks(group) {
  return [group.curated ? "yours" : null, group.locked ? "locked" : null, group.aside ? "set aside" : null].filter(Boolean).map((text) => el("span", { class: "badge" }, text));
}

function groupCard(group) {
  const tick = el("button", { type: "button", class: "tick", role: "checkbox", "aria-checked": String(chosenGroups.has(group.id)), "aria-label": `Choose ${title(group)}` });
  tick.addEventListener("click", () => {
    if (!chosenGroups.delete(group.id)) chosenGroups.add(group.id);
    tick.setAttribute("aria-checked", String(chosenGroups.has(group.id)));
    drawSelection();
  });
  return el(
    "li",
    { class: "choosable" },
    tick,
    el(
      "a",
      { class: "card", href: `#/group/${group.id}` },
      el("span", { class: "mosaic", "data-group": group.id, "aria-hidden": "true" }),
      el(
        "span",
        { class: "card-text" },
        el("span", { class: "card-name" }, isolated(title(group)), marks(group)),
        el("span", { class: "card-facts" }, `${plural(group.size, "image")} · ${percent(group.share)}`),
        el("span", { class: "card-also", title: group.sureness === null ? "" : `the name fits by ${percent(group.sureness)}` }, sureness(group), group.alternatives.length ? [" · also ", listed(group.alternatives.slice(0, 3))] : null),
      ),
    ),
  );
}

function fillMosaic(mosaic) {
  const group = groupById.get(Number(mosaic.dataset.group));
  const shown = (group?.typical ?? []).map((id) => ({ id }));
  mosaic.classList.toggle("mosaic-few", shown.length < 3);
  mosaic.replaceChildren(...(shown.length ? shown.map(picture) : [el("span", { class: "placeholder" }, "no images")]));
}

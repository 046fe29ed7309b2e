// What people do with what they have chosen. Every action can be undone.

/** Do something, and show the sentence that refuses it. */
async function attempt(work) {
  document.getElementById("toast").hidden = true;
  try {
    await work();
  } catch (error) {
    tell(error instanceof Refused ? error.message : String(error));
  }
}

/** Show a sentence until somebody closes it or tries something else; one that is `passing` also until untell(). */
function tell(text, passing = false) {
  const toast = document.getElementById("toast");
  toast.toggleAttribute("data-passing", passing);
  toast.replaceChildren(el("p", {}, text), el("button", { type: "button", class: "quiet", on: { click: () => (toast.hidden = true) } }, "Close"));
  toast.hidden = false;
}

function untell() {
  const toast = document.getElementById("toast");
  if (toast.hasAttribute("data-passing")) toast.hidden = true;
}

let working = 0;

/** Something begins or ends that takes a while; several may go on at once. */
function busy(on) {
  working += on ? 1 : -1;
  document.documentElement.toggleAttribute("data-busy", working > 0);
  announce(working ? "Working…" : "Done");
}

/** The bar below: what is chosen, and what can be done with it. */
function drawSelection() {
  const bar = document.getElementById("selection");
  const button = (text, press, main) => el("button", { type: "button", class: main ? "button main" : "quiet", on: { click: press } }, text);
  const clear = () => {
    chosen.clear();
    chosenGroups.clear();
    grid?.remark();
    for (const tick of document.querySelectorAll("button.tick")) tick.setAttribute("aria-checked", "false");
    drawSelection();
  };
  const letting = button("Clear", clear);
  letting.id = "let-go";
  bar.hidden = !chosen.size && !chosenGroups.size;
  document.body.toggleAttribute("data-choosing", !bar.hidden);
  if (chosen.size) {
    const homes = new Set([...chosen.values()].map((image) => image.group));
    const home = homes.size === 1 ? groupById.get([...homes][0]) : null;
    bar.replaceChildren(
      el("span", {}, `${plural(chosen.size, "image")} chosen`),
      button("Move to…", moveChosen, true),
      button("New group", makeGroup),
      button("Find the like", findLike),
      menu("More", [
        ["Export…", () => exportImages({ images: [...chosen.keys()] }, chosen.size)],
        ["These are right here", pinChosen],
        ...(home ? [[`Not ${title(home)}`, () => rejectChosen(home)]] : []),
        ["Tag…", tagChosen],
        ["Back to where learning puts them", () => actOnChosen({ do: "move", to: null })],
      ]),
      letting,
    );
  } else {
    const merge = button("Merge them", mergeChosen, true);
    merge.disabled = chosenGroups.size < 2;
    bar.replaceChildren(el("span", {}, `${plural(chosenGroups.size, "group")} chosen`), merge, letting);
  }
}

function findLike() {
  likeOf = [...chosen.keys()];
  if (location.hash === "#/like") render();
  else location.hash = "#/like";
}

function moveChosen() {
  const near = new Map();
  for (const image of chosen.values()) if (groupById.has(image.second)) near.set(image.second, (near.get(image.second) ?? 0) + 1);
  const from = new Set([...chosen.values()].map((image) => image.group));
  const rank = (group) => (from.size === 1 && from.has(group.id) ? -1 : (near.get(group.id) ?? 0));
  const ranked = [...store.groups].sort((a, b) => rank(b) - rank(a) || b.size - a.size);
  pickGroup(`Move ${plural(chosen.size, "image")} to`, ranked, (group) => actOnChosen({ do: "move", to: group.id }), makeOf);
}

/** Do something with the chosen images, which are let go once it is entered: what is refused can be tried again. */
function actOnChosen(what) {
  const images = [...chosen.keys()];
  return attempt(() => act({ ...what, images }, () => letGo(images)));
}

function letGo(images) {
  for (const id of images) chosen.delete(id);
  drawSelection();
}

function pinChosen() {
  return actOnChosen({ do: "pin" });
}

function rejectChosen(group) {
  return actOnChosen({ do: "reject", id: group.id });
}

/** A new group of the chosen images; without a name the nouns give one. */
function makeOf(name) {
  const images = [...chosen.keys()];
  return act({ do: "make", name: name || null, images }, () => letGo(images));
}

function makeGroup() {
  const input = el("input", { type: "text", maxlength: "200", placeholder: "A name; empty: one is found", "aria-label": "Name" });
  const form = el("form", { class: "ask" }, input, el("div", { class: "ask-buttons" }, el("button", { class: "button main" }, "Make the group")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    close();
    attempt(() => makeOf(input.value.trim()));
  });
  const close = modal(`A new group of ${plural(chosen.size, "image")}`, form);
  input.focus();
}

function tagChosen() {
  const input = el("input", { type: "text", maxlength: "60", placeholder: "A word", "aria-label": "Tag", required: true });
  const done = (tag, on) => {
    close();
    actOnChosen({ do: "tag", tag, on });
  };
  const known = Object.keys(store.tags).map((tag) => el("button", { type: "button", class: "chip", on: { click: () => (input.value = tag) } }, isolated(tag)));
  const form = el(
    "form",
    { class: "ask" },
    input,
    known.length ? el("div", { class: "chips" }, known) : null,
    el("div", { class: "ask-buttons" }, el("button", { class: "button main" }, "Tag them"), el("button", { type: "button", class: "quiet", on: { click: () => input.value.trim() && done(input.value.trim(), false) } }, "Take the tag away")),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (input.value.trim()) done(input.value.trim(), true);
  });
  const close = modal(`Tag ${plural(chosen.size, "image")}`, form);
  input.focus();
}

/** A button that opens a list of things to do. */
function menu(text, entries) {
  const list = el("div", { class: "menu", role: "menu", popover: "auto" }, entries.map(([label, press]) => el("button", { type: "button", role: "menuitem", class: "pick", on: { click: () => (list.hidePopover(), press()) } }, isolated(label))));
  const opener = el("button", { type: "button", class: "quiet", "aria-haspopup": "menu", on: { click: () => list.togglePopover() } }, text);
  list.addEventListener("toggle", (event) => {
    if (event.newState !== "open") return;
    const place = opener.getBoundingClientRect();
    list.style.left = `${Math.max(Math.min(place.left, window.innerWidth - list.offsetWidth - 12), 12)}px`;
    list.style.top = place.top > window.innerHeight / 2 ? `${place.top - list.offsetHeight - 8}px` : `${place.bottom + 8}px`;
    list.querySelector("button").focus();
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const items = [...list.children];
    items[(items.indexOf(document.activeElement) + step + items.length) % items.length].focus();
  });
  return el("span", {}, opener, list);
}

function mergeChosen() {
  // The largest stays: most people know its id.
  const ids = store.groups.filter((group) => chosenGroups.has(group.id)).sort((a, b) => b.size - a.size).map((group) => group.id);
  const done = () => {
    for (const id of ids) chosenGroups.delete(id);
    drawSelection();
  };
  attempt(() => act({ do: "merge", ids }, done));
}

function mergeGroup(group) {
  const others = store.groups.filter((other) => other.id !== group.id);
  pickGroup(`Merge another group into ${title(group)}`, others, (other) => act({ do: "merge", ids: [group.id, other.id] }));
}

function renameGroup(group) {
  const input = el("input", { type: "text", value: group.name ?? "", maxlength: "200", "aria-label": "Name", required: true });
  const done = (name) => {
    close();
    attempt(() => act({ do: "rename", id: group.id, name }));
  };
  const words = group.alternatives.map((word) => el("button", { type: "button", class: "chip", on: { click: () => done(word) } }, isolated(word)));
  const form = el("form", { class: "ask" }, input, words.length ? el("div", { class: "chips" }, words) : null, el("div", { class: "ask-buttons" }, el("button", { class: "button main" }, "Rename"), group.curated ? el("button", { type: "button", class: "quiet", on: { click: () => done(null) } }, "Find a name again") : null));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (input.value.trim()) done(input.value.trim());
  });
  const close = modal(`Rename ${title(group)}`, form);
  input.select();
}

/** Let somebody pick a group by its name, or make one with `made`, which takes a name. */
function pickGroup(heading, groups, picked, made) {
  const input = el("input", { type: "search", placeholder: "Type a name", "aria-label": "Filter groups" });
  const list = el("ul", { class: "picks" });
  const draw = () => {
    const wanted = input.value.toLocaleLowerCase();
    const place = (group) => title(group).toLocaleLowerCase().indexOf(wanted);
    const whole = (group) => title(group).length === wanted.length;
    // What is typed whole comes before what only holds it.
    const found = groups
      .filter((group) => place(group) >= 0)
      .sort((a, b) => (wanted ? whole(b) - whole(a) || Math.sign(place(a)) - Math.sign(place(b)) : 0))
      .slice(0, 50);
    const again = store.groups.some((group) => title(group).toLocaleLowerCase() === wanted.trim());
    const fresh = made && wanted.trim() && !again ? [el("li", {}, el("button", { type: "button", class: "pick", on: { click: () => (close(), attempt(() => made(input.value.trim()))) } }, el("span", {}, "A new group: ", isolated(input.value.trim()))))] : [];
    list.replaceChildren(
      ...found.map((group) => el("li", {}, el("button", { type: "button", class: "pick", on: { click: () => choose(group) } }, isolated(title(group)), el("span", { class: "note" }, plural(group.size, "image"))))),
      ...fresh,
    );
  };
  const choose = (group) => {
    close();
    attempt(() => picked(group));
  };
  input.addEventListener("input", draw);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      // Else the button that opened this gets the same press, once it has the focus again.
      event.preventDefault();
      list.querySelector("button")?.click();
    }
    if (event.key === "ArrowDown") list.querySelector("button")?.focus();
  });
  draw();
  const close = modal(heading, el("div", { class: "ask" }, input, list));
  input.focus();
}

/** A dialog; gives what closes it. */
function modal(heading, content, size) {
  const dialog = el("dialog", { class: size ? `modal ${size}` : "modal", "aria-label": heading }, el("h3", {}, heading), content);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  // A field for searches takes the first Escape for itself.
  dialog.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return () => dialog.close();
}

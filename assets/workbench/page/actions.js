// What people do with what they have chosen. Every action can be undone.

/** Do something, and show the sentence that refuses it. */
async function attempt(work) {
  try {
    await work();
  } catch (error) {
    tell(error instanceof Refused ? error.message : String(error));
  }
}

function tell(text) {
  const toast = document.getElementById("toast");
  toast.replaceChildren(el("p", {}, text), el("button", { type: "button", class: "quiet", on: { click: () => (toast.hidden = true) } }, "Close"));
  toast.hidden = false;
}

function busy(on) {
  document.documentElement.toggleAttribute("data-busy", on);
  announce(on ? "The tables follow…" : "Done");
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
  bar.hidden = !chosen.size && !chosenGroups.size;
  document.body.toggleAttribute("data-choosing", !bar.hidden);
  if (chosen.size) {
    bar.replaceChildren(
      el("span", {}, `${plural(chosen.size, "image")} chosen`),
      button("Move to…", moveChosen, true),
      button("Find the like", findLike),
      button("Export…", () => exportImages({ images: [...chosen.keys()] }, chosen.size)),
      button("Clear", clear),
    );
  } else {
    const merge = button("Merge them", mergeChosen, true);
    merge.disabled = chosenGroups.size < 2;
    bar.replaceChildren(el("span", {}, `${plural(chosenGroups.size, "group")} chosen`), merge, button("Clear", clear));
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
  pickGroup(`Move ${plural(chosen.size, "image")} to`, [...store.groups].sort((a, b) => rank(b) - rank(a) || b.size - a.size), (group) => {
    const images = [...chosen.keys()];
    chosen.clear();
    drawSelection();
    return act({ do: "move", images, to: group.id });
  });
}

function mergeChosen() {
  // The largest stays: most people know its id.
  const ids = store.groups.filter((group) => chosenGroups.has(group.id)).sort((a, b) => b.size - a.size).map((group) => group.id);
  chosenGroups.clear();
  drawSelection();
  attempt(() => act({ do: "merge", ids }));
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

/** Let somebody pick a group by its name. */
function pickGroup(heading, groups, picked) {
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
    list.replaceChildren(
      ...found.map((group) => el("li", {}, el("button", { type: "button", class: "pick", on: { click: () => choose(group) } }, isolated(title(group)), el("span", { class: "note" }, plural(group.size, "image"))))),
    );
  };
  const choose = (group) => {
    close();
    attempt(() => picked(group));
  };
  input.addEventListener("input", draw);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") list.querySelector("button")?.click();
    if (event.key === "ArrowDown") list.querySelector("button")?.focus();
  });
  draw();
  const close = modal(heading, el("div", { class: "ask" }, input, list));
  input.focus();
}

/** A dialog; gives what closes it. */
function modal(heading, content) {
  const dialog = el("dialog", { class: "modal", "aria-label": heading }, el("h3", {}, heading), content);
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

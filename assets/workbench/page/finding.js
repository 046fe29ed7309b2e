// What a search found: by words, by chosen images, by one image, or by a picture that somebody brings.

async function searchView(text) {
  const told = await ask("/api/search", { text, count: 200 });
  return foundView(told, `“${text}”`, `the ${plural(told.images.length, "image")} nearest to these words, best first`);
}

async function tagView(tag) {
  const told = await ask("/api/tag", { tag });
  return foundView(told, isolated(tag), `${plural(told.images.length, "image")} with this tag`);
}

/** What the like was last looked for of. */
let likeOf = [];

async function likeView() {
  if (!likeOf.length) return emptyState("Nothing is chosen", "Choose some images of one kind; about twenty serve best.");
  const told = await post("/api/alike", { images: likeOf });
  const proposed = told.proposed ? `${plural(told.proposed, "image")} of the whole store ${told.proposed === 1 ? "is" : "are"} proposed, the likest first` : "none is sure enough to be proposed";
  const more = told.images.length > told.proposed ? "; those after are less like" : "";
  return foundView(told, `Like ${plural(likeOf.length, "image")}`, proposed + more);
}

async function nearView(id) {
  const told = await ask("/api/near", { id, count: 200 });
  const one = el("span", { class: "sought" }, picture({ id }));
  return foundView(told, "More like this", `the ${plural(told.images.length, "image")} of the whole store nearest to ${id}, best first`, one);
}

/** The picture that was last brought: its name, its file, and what was found for which result. */
let brought = null;

async function pictureView() {
  if (!brought) return emptyState("No picture", "Drop one on this page, paste one, or take a file with the button beside the search.");
  if (brought.result !== store.result) {
    brought.told = await post("/api/by-picture", { name: brought.name, data: brought.data });
    brought.result = store.result;
  }
  const sought = el("canvas", { class: "sought", "aria-hidden": "true" });
  drawBrought(sought);
  return foundView(brought.told, "By a picture", `the ${plural(brought.told.images.length, "image")} nearest to it, best first`, sought);
}

/** On a canvas: the page's policy lets no image in that the server did not send. */
async function drawBrought(canvas) {
  const bitmap = await createImageBitmap(brought.file).catch(() => null);
  if (!bitmap) return canvas.remove(); // of a format that the store reads and the browser does not
  const side = Math.min(bitmap.width, bitmap.height);
  canvas.width = canvas.height = 192;
  canvas.getContext("2d").drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, 192, 192);
  bitmap.close();
}

async function bring(file) {
  if (!file) return;
  if (file.size > store.mostPictureBytes) {
    throw new Refused(`A picture to search by may have ${count(store.mostPictureBytes)} bytes at most; ${file.name} has ${count(file.size)}. Take a smaller copy of it.`);
  }
  const data = await new Promise((done, fail) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => done(reader.result.slice(reader.result.indexOf(",") + 1)));
    reader.addEventListener("error", () => fail(new Refused(`${file.name} cannot be read: is it a folder, or gone?`)));
    reader.readAsDataURL(file);
  });
  // An empty file is an address of data without a comma's right side; the server says what is wrong with it.
  brought = { name: file.name || "the picture", file, data, told: null, result: null };
  if (location.hash === "#/picture") render();
  else location.hash = "#/picture";
}

function startBringing() {
  const input = document.getElementById("picture-file");
  document.getElementById("by-picture").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    attempt(() => bring(input.files[0]));
    input.value = "";
  });
  const holds = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!holds(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    document.documentElement.toggleAttribute("data-dropping", true);
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget || document.documentElement.removeAttribute("data-dropping"));
  document.addEventListener("drop", (event) => {
    document.documentElement.removeAttribute("data-dropping");
    if (!holds(event)) return;
    event.preventDefault();
    attempt(() => bring(event.dataTransfer.files[0]));
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])][0];
    if (!file) return;
    event.preventDefault();
    attempt(() => bring(file));
  });
}

/** Images that were found, with how many are in which group: a chip leaves one group's alone. */
function foundView(told, heading, said, sought) {
  let images = told.images;
  const sure = told.proposed === undefined ? null : new Set(images.slice(0, told.proposed).map((image) => image.id));
  const holder = el("div", {});
  const draw = (wanted) => {
    images = wanted === null ? told.images : told.images.filter((image) => image.group === wanted);
    grid = imageGrid(images.length, (start, many) => Promise.resolve(images.slice(start, start + many)));
    holder.replaceChildren(images.length ? grid.box : emptyState("Nothing was found", ""));
  };
  const choose = () => {
    for (const image of images) if (!sure || sure.has(image.id)) chosen.set(image.id, image);
    grid.remark();
    drawSelection();
  };
  draw(null);
  return [
    el("div", { class: "crumbs" }, el("a", { class: "quiet", href: "#/groups" }, "← All groups")),
    el(
      "div",
      { class: "cluster-head found" },
      sought,
      el("div", {}, el("h2", { tabindex: "-1" }, heading), el("p", { class: "note" }, said)),
    ),
    foundGroups(told.images, draw),
    el("div", { class: "toolbar" }, el("button", { type: "button", class: "button", on: { click: choose } }, sure ? "Choose what is proposed" : "Choose all")),
    holder,
  ];
}

const MOST_CHIPS = 12;

function foundGroups(images, draw) {
  const many = new Map();
  for (const image of images) if (groupById.has(image.group)) many.set(image.group, (many.get(image.group) ?? 0) + 1);
  if (many.size < 2) return null;
  const most = [...many].sort((a, b) => b[1] - a[1]).slice(0, MOST_CHIPS);
  const chips = [[null, images.length], ...most].map(([id, number]) => {
    const chip = el("button", { type: "button", class: "chip", "aria-pressed": String(id === null) }, id === null ? "All" : isolated(title(groupById.get(id))), el("span", { class: "count" }, count(number)));
    chip.addEventListener("click", () => {
      for (const other of chips) other.setAttribute("aria-pressed", String(other === chip));
      draw(id);
    });
    return chip;
  });
  const rest = many.size - most.length;
  return el("div", { class: "chips toolbar by-group", role: "group", "aria-label": "By group" }, chips, rest ? el("span", { class: "note" }, `and ${plural(rest, "group")} more`) : null);
}

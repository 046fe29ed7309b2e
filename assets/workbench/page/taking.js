// What people take along: chosen images or a whole group.

/** Ask in which form; `wanted` is {images} or {group, distinct}. */
function exportImages(wanted, many, name) {
  const ways = [
    ["Copy the ids", "one a line, to paste", () => copyIds(wanted)],
    ["A list", "a text file with the place of each image", () => download(wanted, "list")],
    ["A table", "CSV: id, place, group, name, confidence", () => download(wanted, "csv")],
    store.hasPictures ? ["The images", "a zip with a folder for each group, and a list of what could not be read", () => download(wanted, "zip")] : null,
  ].filter(Boolean);
  const choose = (work) => {
    close();
    attempt(work);
  };
  const list = el("ul", { class: "picks" }, ways.map(([text, note, work]) => el("li", {}, el("button", { type: "button", class: "pick pick-told", on: { click: () => choose(work) } }, text, el("span", { class: "note" }, note)))));
  const close = modal(`Export ${plural(many, "image")}${name ? ` of ${name}` : ""}`, list);
  list.querySelector("button").focus();
}

async function copyIds(wanted) {
  const ids = wanted.images ?? (await ask(`/api/group/${wanted.group}/ids`, wanted.distinct ? { distinct: 1 } : {})).ids;
  await navigator.clipboard.writeText(ids.join("\n"));
  announce("Copied");
}

async function download(wanted, form) {
  const told = await post("/api/takings", { ...wanted, form });
  // The browser saves it while it comes.
  el("a", { href: address(told.address), download: "" }).click();
}

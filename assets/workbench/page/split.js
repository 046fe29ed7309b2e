// Splitting a group: what it could become, side by side, before anything is done.

async function splitGroup(group) {
  busy(true);
  let told;
  try {
    told = await ask(`/api/group/${group.id}/splits`);
  } finally {
    busy(false);
  }
  if (!told.splits.length) return tell("All images of this group are alike: there is nothing to split.");
  const area = el("div", { class: "parts" });
  const inputs = [];
  let parts = 0;
  const draw = () => {
    const split = told.splits[parts];
    inputs.length = 0;
    area.replaceChildren(
      ...split.map((part, place) => {
        const name = el("input", { type: "text", maxlength: "200", placeholder: "A name is found", "aria-label": `Name of part ${place + 1}` });
        inputs.push(name);
        return el(
          "section",
          { class: "part" },
          place ? name : el("p", { class: "part-name" }, "stays ", isolated(title(group))),
          el("p", { class: "note" }, plural(part.size, "image")),
          el("div", { class: "part-pictures" }, part.typical.map((id) => picture({ id }))),
        );
      }),
    );
    accept.textContent = `Split into ${split.length}`;
  };
  const accept = el("button", { type: "button", class: "button main" });
  accept.addEventListener("click", () => {
    close();
    attempt(() => act({ do: "split", id: group.id, parts: told.splits[parts].length, names: inputs.map((input) => input.value.trim() || null) }));
  });
  const choices = told.splits.map((split, place) => {
    const radio = el("input", { type: "radio", name: "parts", value: place, checked: place === 0 });
    radio.addEventListener("change", () => {
      parts = place;
      draw();
    });
    return el("label", { class: "choice" }, radio, ` ${split.length} parts`);
  });
  draw();
  const close = modal(`Split ${title(group)}`, el("div", { class: "ask" }, el("div", { class: "choices", role: "radiogroup", "aria-label": "Parts" }, choices), area, el("div", { class: "ask-buttons" }, accept)), "wide");
}

/** Lock a group or let it go; set it aside or bring it back. */
function switchGroup(kind, group, on) {
  return attempt(() => act({ do: kind, id: group.id, on }));
}

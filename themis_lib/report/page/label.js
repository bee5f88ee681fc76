// Labels in a browser: one item at a time, each label kept in this browser at once, and saved as a file.

const find = (id) => document.getElementById(id);

/** What this browser keeps under a name; a browser may refuse to keep anything. */
function kept(name) {
  try {
    return JSON.parse(localStorage.getItem(name) ?? "null");
  } catch {
    return null;
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

function labelling(data) {
  // The draw names the items: a page of more of them goes on, one of another run begins.
  const name = `themis-labels:${data.file.draw}:${data.labeller}`;
  const state = { labeller: data.labeller, labels: {}, order: [], ...kept(name) };
  let canKeep = keep(name, state);

  // An earlier page of the draw may have labelled items that are not here.
  const here = new Set(data.items.map(({ item }) => item));
  const last = () => state.order.findLast((item) => here.has(item));

  const waiting = () => data.items.filter(({ item }) => !(item in state.labels));
  const labels = () => data.items.filter(({ item }) => item in state.labels).map(({ item }) => ({ item, ...state.labels[item] }));

  function store() {
    canKeep = keep(name, state);
  }

  function give(choice) {
    const current = waiting()[0];
    if (!current) return;
    const note = find("note").value.trim();
    state.labels[current.item] = { choice, note: note || null, labelled_at: new Date().toISOString() };
    state.order.push(current.item);
    store();
    show();
  }

  function undo() {
    const item = last();
    if (item === undefined) return;
    state.order.splice(state.order.lastIndexOf(item), 1);
    delete state.labels[item];
    store();
    show();
  }

  function save() {
    const content = JSON.stringify({ ...data.file, labeller: state.labeller.trim(), labels: labels() }, null, 2);
    const link = el("a", { href: URL.createObjectURL(new Blob([content], { type: "application/json" })), download: "labels.json" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function choiceButtons(current) {
    const keyOf = Object.fromEntries(Object.entries(current.keys).map(([key, choice]) => [choice, key]));
    return current.names.map((choice) => el("button", { type: "button", click: () => give(choice) }, choice,
      keyOf[choice] && keyOf[choice] !== choice ? [" ", el("kbd", {}, keyOf[choice])] : null));
  }

  /** A line for a number, where there are no choices. */
  function numberField() {
    const [low, high] = data.range;
    const input = el("input", { type: "number", min: low, max: high, step: "any", required: "", "aria-label": `A number from ${low} to ${high}` });
    const form = el("form", { submit: (event) => { event.preventDefault(); give(input.value); } },
      `A number from ${low} to ${high}: `, input, " ", el("button", { type: "submit" }, "Label"));
    return form;
  }

  function showProgress() {
    const current = waiting()[0];
    const done = labels();
    const labelled = done.filter(({ choice }) => choice !== null).length;
    const skipped = done.length - labelled;
    find("progress").textContent = `${count(labelled)} of ${count(data.items.length)} labelled${skipped ? `, ${count(skipped)} skipped` : ""}`;
    find("done").value = done.length;
    find("kept").textContent = canKeep ? "Kept in this browser." : "This browser keeps nothing: save the file before you close the page.";
    find("undo").disabled = last() === undefined;
    find("skip").disabled = !current;
    find("save").disabled = done.length === 0 || !state.labeller.trim();
    find("save").title = state.labeller.trim() ? "" : "Write your name first";
  }

  function show() {
    const current = waiting()[0];
    showProgress();
    find("note").value = "";
    if (!current) {
      find("texts").replaceChildren(el("p", { class: "empty" }, "All items are labelled or skipped. Save the file, and send it back."));
      find("choices").replaceChildren();
      return;
    }
    find("texts").replaceChildren(...current.texts.map(({ title, text, images }) =>
      el("div", { class: title.startsWith("Answer") || title === "Conversation" ? "part answer" : "part" }, el("h4", {}, title), el("pre", {}, text),
        images.map((source) => el("img", { class: "medium", src: source, alt: "" })))));
    find("choices").replaceChildren(...(data.range ? [numberField()] : choiceButtons(current)));
    if (data.range) find("choices").querySelector("input").focus();
  }

  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest("input, textarea");
    if (isTyping && event.key === "Escape") event.target.blur();
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    const current = waiting()[0];
    if (event.key === "u") undo();
    else if (event.key === "s" && current) give(null);
    else if (event.key === "n" && current) {
      event.preventDefault();
      find("note").focus();
    } else if (current && event.key in current.keys) give(current.keys[event.key]);
  });
  find("skip").addEventListener("click", () => give(null));
  find("undo").addEventListener("click", undo);
  find("save").addEventListener("click", save);
  // Enter ends the note, so that the keys give labels again.
  find("note").addEventListener("keydown", (event) => { if (event.key === "Enter") event.target.blur(); });
  find("labeller").value = state.labeller;
  find("labeller").addEventListener("input", (event) => {
    state.labeller = event.target.value;
    store();
    showProgress();
  });
  find("labelling").hidden = false;
  show();
}

// Where nothing is left to label, the page says so.
if (find("labelling")) unpack().then(labelling);

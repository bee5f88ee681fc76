// The page of a comparison: the cases whose scores flipped, both runs side by side.

unpack().then((data) => {
  const { flips } = data;
  const root = document.getElementById("browser");
  if (!flips.length) return;
  root.replaceChildren();
  const runs = Object.fromEntries(data.runs.map((run) => [run.run_id, run]));
  const baseline = data.runs[0];
  const base = data.sides[baseline.run_id];
  const slices = sliceChoices(base.metadata);
  const names = data.runs.slice(1).map((run) => [run.run_id, run.label]);

  const directions = { up: (flip) => flip.after > flip.before, down: (flip) => flip.after < flip.before };
  const controls = [
    { name: "run", label: "Run", choices: () => (names.length > 1 ? [["", "all"], ...names] : [["", "all"]]), test: (item, wanted) => wanted === "" || flips[item].run === wanted },
    { name: "metric", label: "Metric", choices: () => choicesOf(flips.map((flip) => flip.metric), "all"), test: (item, wanted) => wanted === "" || flips[item].metric === wanted },
    { name: "direction", label: "Direction", choices: () => [["", "both"], ["up", "improved"], ["down", "worsened"]], test: (item, wanted) => wanted === "" || directions[wanted](flips[item]) },
    { name: "dataset", label: "Dataset", choices: () => choicesOf(flips.map((flip) => base.cases.dataset_id[flip.row]), "all"), test: (item, wanted) => wanted === "" || base.cases.dataset_id[flips[item].row] === wanted },
    { name: "slice", label: "Slice", choices: () => slices, test: (item, wanted) => inSlice(base.metadata, flips[item].row, wanted) },
  ];

  const textsOf = (item) => {
    const flip = flips[item];
    const of = (run, row) => {
      const side = data.sides[run];
      const samples = (column) => (column ?? []).slice(row * runs[run].samples, (row + 1) * runs[run].samples);
      return [side.cases.case_id[row], ...samples(side.outputs.output), ...samples(side.answers.value)];
    };
    const metadata = Object.values(base.metadata).map((column) => at(column, flip.row));
    return searchable([at(base.cases.input, flip.row), at(base.cases.expected_output, flip.row), ...metadata, ...of(baseline.run_id, flip.row), ...of(flip.run, flip.other)]);
  };

  const column = (run, row, flip, score) => el(
    "section", { class: "column", "aria-label": run.label },
    el("h4", { class: "run" }, run === baseline ? "Baseline: " : "Candidate: ", run.label, " ", mark(score)),
    caseView(data.sides[run.run_id], row, { ...run, metric: flip.metric, promptClosed: true, hideExpected: true }),
  );

  browser(root, {
    noun: "flips", items: flips.map((_, item) => item), controls, searchOf: textsOf,
    describe: (item) => {
      const flip = flips[item];
      return [
        el("span", { class: `mark ${flip.after > flip.before ? "good" : "bad"}` }, `${scoreText(flip.before)} → ${scoreText(flip.after)}`),
        el("span", { class: "id" }, base.cases.case_id[flip.row]),
        el("span", { class: "snippet" }, [names.length > 1 ? runs[flip.run].label : null, textOf(at(base.cases.input, flip.row)).slice(0, 160)].filter(Boolean).join(" · ")),
      ];
    },
    keyOf: (item) => ({ case: base.cases.case_id[flips[item].row], of: base.cases.dataset_id[flips[item].row], in: flips[item].run, by: flips[item].metric }),
    show: (item) => {
      const flip = flips[item];
      const other = data.sides[flip.run].cases.case_id[flip.other];
      const place = `${baseline.location}, table cases, case ${base.cases.case_id[flip.row]}`;
      return [
        el("h3", {}, base.cases.case_id[flip.row], el("span", { class: "dim" }, ` ${base.cases.dataset_id[flip.row]} · ${flip.metric}`)),
        other === base.cases.case_id[flip.row] ? null : el("p", { class: "dim" }, `named ${other} in the candidate`),
        metadataView(base.metadata, flip.row),
        block("Input", at(base.cases.input, flip.row), place),
        block("Expected output", at(base.cases.expected_output, flip.row), place),
        el("div", { class: "columns" }, column(baseline, flip.row, flip, flip.before), column(runs[flip.run], flip.other, flip, flip.after)),
      ];
    },
  });
});

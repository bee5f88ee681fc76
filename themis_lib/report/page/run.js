// The page of a run: its cases, browsed.

unpack().then((data) => {
  const side = data.sides.run;
  const cases = side.cases.case_id ?? [];
  const root = document.getElementById("browser");
  if (!cases.length) return;
  root.replaceChildren();
  const metrics = Object.keys(side.results).filter(Boolean);
  const score = (row, state) => at(side.results[state.metric]?.score, row);
  const named = [...document.querySelectorAll("a[data-slice]")].map((link) => link.dataset.slice);
  const slices = sliceChoices(side.metadata, named);

  const outcomes = (state) => {
    const { bars = [], levels = true } = data.outcomes[state.metric] ?? {};
    const named = bars.map(([, , label], index) => [String(index), levels ? `score ${label}` : label]);
    const differ = data.samples > 1 && side.scores[state.metric] ? [["differ", "samples differ"]] : [];
    return [["", "any"], ...named, ["none", "no score"], ...differ, ["failed", "any row failed"]];
  };
  const hasOutcome = (row, wanted, state) => {
    const own = score(row, state);
    if (wanted === "") return true;
    if (wanted === "none") return own === null;
    if (wanted === "failed") return failed(row);
    if (wanted === "differ") return new Set(samplesOf(side.scores[state.metric]?.score, row).filter((value) => value !== null)).size > 1;
    const { bars, levels } = data.outcomes[state.metric];
    const [low, high] = bars[Number(wanted)];
    if (own === null) return false;
    return levels ? own === low : own >= low && (own < high || (Number(wanted) === bars.length - 1 && own <= high));
  };
  const samplesOf = (column, row) => (column ?? []).slice(row * data.samples, (row + 1) * data.samples);
  const errorColumns = [side.outputs.error, side.answers.error, ...Object.values(side.scores).map((columns) => columns.error), ...Object.values(side.verdicts).map((columns) => columns.error)].filter(Boolean);
  const failed = (row) => errorColumns.some((column) => samplesOf(column, row).some((error) => error !== null)) || Object.values(side.results).some((columns) => at(columns.error, row) !== null);

  const total = (column, row) => samplesOf(column, row).reduce((sum, value) => sum + (value ?? 0), 0);
  const seconds = (row) => total(side.outputs.latency_s, row);
  const tokens = (row) => total(side.outputs.input_tokens, row) + total(side.outputs.output_tokens, row);
  // Sample by sample: a long request has the prices of its tier.
  const dollars = (row) => Array.from({ length: data.samples }, (_, sample) => callDollars(side.outputs, row * data.samples + sample, data.price)).reduce((sum, value) => sum + value, 0);
  // What calls took and cost, for all samples of a case: most first.
  const amounts = {
    ...(side.outputs.latency_s ? { slowest: { label: "slowest first", of: seconds, text: durationText } } : {}),
    ...(side.outputs.output_tokens ? { longest: { label: "most tokens first", of: tokens, text: (value) => `${count(value)} tokens` } } : {}),
    ...(data.price && side.outputs.output_tokens ? { dearest: { label: "most dollars first", of: dollars, text: (value) => `$${value.toPrecision(2)}` } } : {}),
  };
  const orders = {
    lowest: (first, second, state) => (score(first, state) ?? Infinity) - (score(second, state) ?? Infinity),
    highest: (first, second, state) => (score(second, state) ?? -Infinity) - (score(first, state) ?? -Infinity),
    ...Object.fromEntries(Object.entries(amounts).map(([name, { of }]) => [name, (first, second) => of(second) - of(first)])),
  };
  const controls = [
    { name: "metric", label: "Metric", choices: () => (metrics.length ? metrics.map((metric) => [metric, metric]) : [["", "none"]]) },
    { name: "outcome", label: "Outcome", choices: outcomes, test: hasOutcome },
    { name: "dataset", label: "Dataset", choices: () => choicesOf(side.cases.dataset_id, "all"), test: (row, wanted) => wanted === "" || side.cases.dataset_id[row] === wanted },
    { name: "slice", label: "Slice", choices: () => slices, test: (row, wanted) => inSlice(side.metadata, row, wanted) },
    { name: "order", label: "Order", choices: () => [["", "as in the data"], ...(metrics.length ? [["lowest", "lowest score first"], ["highest", "highest score first"]] : []), ...Object.entries(amounts).map(([name, { label }]) => [name, label])] },
  ];

  const perSample = [side.outputs.output, side.outputs.error, side.answers.value, side.answers.error].filter(Boolean);
  const textsOf = (row) => searchable([
    cases[row], at(side.cases.input, row), at(side.cases.expected_output, row), ...perSample.flatMap((column) => samplesOf(column, row)),
    ...Object.values(side.metadata).map((column) => at(column, row)),
  ]);

  const view = browser(root, {
    noun: "cases", items: cases.map((_, row) => row), controls, searchOf: textsOf,
    compare: (first, second, state) => (orders[state.order] ? orders[state.order](first, second, state) : first - second) || first - second,
    describe: (row, state) => [
      metrics.length ? el("span", { class: `mark ${scoreClass(score(row, state))}` }, scoreText(score(row, state))) : null,
      el("span", { class: "id" }, cases[row]),
      el("span", { class: "snippet" }, [amounts[state.order]?.text(amounts[state.order].of(row)), textOf(at(side.cases.input, row)).slice(0, 160)].filter(Boolean).join(" · ")),
    ],
    keyOf: (row) => ({ case: cases[row], of: side.cases.dataset_id[row] }),
    show: (row, state) => [
      el("h3", {}, cases[row], el("span", { class: "dim" }, ` ${side.cases.dataset_id[row]}`)),
      el("p", { class: "actions" }, copyButton("Copy link", () => location.href), copyButton("Copy case", () => caseJson(side, row, data.samples))),
      metadataView(side.metadata, row),
      caseView(side, row, { prompt: data.prompt, images: data.images, location: data.location, samples: data.samples, metric: state.metric }),
    ],
  });

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-metric], a[data-case]");
    if (!link) return;
    const { metric, outcome, dataset = "", slice = "", case: caseId } = link.dataset;
    const opened = caseId === undefined
      ? view.filter({ metric, outcome, dataset, slice }) ?? true
      : view.open((row) => cases[row] === caseId && side.cases.dataset_id[row] === dataset);
    if (opened) event.preventDefault();
  });
});

// ---- the address: the state and box that are shown, the filters and the runs

const PARTS = ["state", "box", "run", "outcome", "other", "changes", "sort", "word", "shown"];
const LISTS = new Set(["changes", "shown"]);

// Return the parts of an address; null if it links to a section of the page.
function parseAddress(hash) {
  const entries = [...new URLSearchParams(hash.replace(/^#/, ""))];
  if (!entries.some(([name]) => PARTS.includes(name))) return null;
  const view = {};
  for (const [name, value] of entries) {
    if (!LISTS.has(name)) view[name] = value;
    else view[name] = [...(view[name] ?? []), ...(value ? [value] : [])];
  }
  return view;
}

// Return the address of a view, without the parts that have their default value.
function formatAddress(view, defaults) {
  const parameters = new URLSearchParams();
  for (const name of PARTS) {
    const value = view[name];
    if (value === undefined || String(value) === String(defaults[name])) continue;
    const values = LISTS.has(name) && value.length ? value : [value];
    for (const item of values) parameters.append(name, item);
  }
  return `#${parameters}`;
}

// Split an address into the parts that this page has and the names of those that it lacks.
// choices has a set or map of values for each part, or null if any value is possible.
function checkAddress(address, choices) {
  const view = {}, unknown = [];
  for (const [name, value] of Object.entries(address)) {
    const has = (item) => choices[name] === null || choices[name]?.has(item);
    const lacking = [value].flat().filter((item) => !has(item));
    unknown.push(...lacking.map((item) => `${name} ${item}`));
    if (LISTS.has(name)) view[name] = value.filter(has);
    else if (!lacking.length) view[name] = value;
  }
  return { view, unknown };
}

// Addresses cannot hold half of a surrogate pair: it is replaced, as in an address.
function inAddress(text) {
  return text.replace(/\p{Cs}/gu, "\uFFFD");
}

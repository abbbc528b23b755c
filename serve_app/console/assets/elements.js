// Makes elements. Whatever comes from the gateway is text, never markup: the page's policy forbids the other, too.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made && typeof value !== "string") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const STACKED_FROM_COLUMNS = 5;

// Returns a table; a column is [title, cell of row, is a number]. `caption` names it for those who do not see it. On a
// narrow screen a table of many columns shows each row as a list; the roles keep it a table for those who hear it.
export function table(caption, columns, rows, none) {
  if (rows.length === 0) return element("p", { class: "quiet" }, none);
  const kind = ([, , number]) => number && "number";
  const head = columns.map((column) =>
    element("th", { scope: "col", role: "columnheader", class: kind(column) }, column[0]));
  const cells = (row) => columns.map((column) =>
    element("td", { role: "cell", class: kind(column), "data-label": column[0] }, column[1](row)));
  return element(
    "table", { role: "table", class: columns.length >= STACKED_FROM_COLUMNS && "stacked" },
    element("caption", { class: "visually-hidden" }, caption),
    element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, ...head)),
    element("tbody", { role: "rowgroup" }, ...rows.map((row) => element("tr", { role: "row" }, ...cells(row)))),
  );
}

// Puts content in the place of what is there, if it is other content: what has the focus keeps it, if it is still there.
export function show(place, ...content) {
  const fresh = element("div", {}, ...content);
  if (place.firstElementChild?.isEqualNode(fresh)) return;
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  place.replaceChildren(fresh);
  if (focused) place.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

export const code = (text) => element("code", {}, text);

// What of a page a replay has to show: elements, their names and text, through shadow roots and frames.
window.shape = (node) => {
  const ignored = new Set(["SCRIPT", "NOSCRIPT", "STYLE"]);
  const lines = [];
  let text = "";
  const flush = (depth) => {
    if (text.trim()) lines.push(`${depth} ${text.trim().replace(/\s+/g, " ")}`);
    text = "";
  };
  const walk = (one, depth) => {
    if (one.nodeType === 3) text += one.data; // neighbours are one text, however a page has put them together
    if (one.nodeType !== 1 || ignored.has(one.tagName)) return;
    flush(depth);
    const names = ["id", "class", "type", "placeholder"].map((name) => one.getAttribute(name) ?? "");
    names[1] = names[1].replace(/ ?:hover/, ""); // the Replayer's own mark of what is under the mouse
    lines.push(`${depth} <${one.tagName.toLowerCase()} ${names.join("|")}>`);
    if (one.tagName === "TEXTAREA") return; // what it holds is no text of the page; a full snapshot puts it there
    const inside = one.tagName === "IFRAME" ? (one.contentDocument?.body?.childNodes ?? []) : one.childNodes;
    for (const child of [...(one.shadowRoot?.childNodes ?? []), ...inside]) walk(child, depth + 1);
    flush(depth + 1);
  };
  walk(node, 0);
  return lines;
};

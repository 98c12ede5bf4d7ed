// Style sheets are part of the scripts: the policy then allows no style sheet to be fetched, which a recorded page, that
// lives under the same policy, could ask for.

const added = new Set<string>();

export function addStyle(css: string): void {
  if (added.has(css)) return;
  added.add(css);
  const style = document.createElement("style");
  style.textContent = css;
  document.head.append(style);
}

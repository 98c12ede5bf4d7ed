// Page views, and navigation inside a page that is its own router.
import { idsOf, type Actions } from "./actions";
import { all, attempt, listen, replace } from "./guard";
import type { Recording } from "./recording";
import type { FinishedSpan } from "./spans";
import { linkTo, serverContext, unixNanoAt } from "./timing";
import { withoutQuery } from "./urls";

/** The values of `browser.navigation.type` that happen inside a page. */
type NavigationType = "push" | "replace" | "traverse";

/** A page that was put aside as it was, and is shown again. */
const RESTORED = { attributes: { "browser.navigation.type": "traverse" } };

export function observeNavigation(recording: Recording, actions: Actions): () => void {
  let href = location.href;
  // The page is looked at; `done` is what its span says, unless the page is still loading.
  const view = (done: Partial<FinishedSpan> | undefined): void => {
    if (!recording.active()) return;
    const action = actions.begin("page_view", {});
    recording.custom("otel.page_view", { ...idsOf(action), url: withoutQuery(location.href) });
    if (done) actions.end(action, done);
  };
  // A change of the query alone, which such pages make with every key, is none, unless one can go back to before it.
  const moved = (type: NavigationType): void => {
    const before = href;
    href = location.href;
    const [from, url] = [withoutQuery(before), withoutQuery(href)];
    if (before === href || (type === "replace" && from === url) || !recording.active()) return;
    const action = actions.begin("navigation", { "browser.navigation.type": type }, actions.current);
    recording.custom("otel.navigation", { ...idsOf(action), url, from, type });
    setTimeout(() => actions.end(action));
  };
  view(document.readyState === "complete" ? served() : undefined);
  return all(
    listen(["load"], (event) => event.target === document && setTimeout(() => loaded(actions))),
    listen(["pageshow"], (event) => (event as PageTransitionEvent).persisted && view(RESTORED)),
    // A change of the fragment alone is a popstate, too.
    listen(["popstate"], () => moved("traverse")),
    replace(history, "pushState", (original) => followed(original, () => moved("push"))),
    replace(history, "replaceState", (original) => followed(original, () => moved("replace"))),
  );
}

type ChangeState = typeof history.pushState;

function followed(original: ChangeState, then: () => void): ChangeState {
  return function (this: History, ...args: Parameters<ChangeState>) {
    original.apply(this, args);
    attempt(then);
  };
}

/** The page's load event is over, and the browser knows its times. */
function loaded({ pageView, end }: Actions): void {
  const load = pageLoad();
  if (!pageView || !load) return;
  const endUnixNano = unixNanoAt(load.loadEventEnd || performance.now());
  end(pageView, { startUnixNano: unixNanoAt(load.startTime), endUnixNano, ...served() });
}

export function pageLoad(): PerformanceNavigationTiming | undefined {
  return performance.getEntriesByType("navigation")[0] as PerformanceNavigationTiming | undefined;
}

/** What the page's own load says: how the person came, and which span of the server made the page. */
function served(): Partial<FinishedSpan> {
  const load = pageLoad();
  const server = serverContext(load?.serverTiming?.find(({ name }) => name === "traceparent")?.description);
  const attributes = { "browser.navigation.type": load?.type, ...linkTo(server) };
  return server ? { attributes, links: [server] } : { attributes };
}

// Web vitals (https://web.dev/articles/vitals), by the rules of Google's library, as the event `browser.web_vital`.
// Left out: pages that come back from the back/forward cache, and navigation inside a page, have no vitals of their own.
import { idsOf, type Actions } from "./actions";
import { INFO, tell } from "./events";
import { all, attempt, listen } from "./guard";
import { randomHex } from "./ids";
import { pageLoad } from "./navigation";
import type { Recording } from "./recording";

/** Up to the first it is good, above the second poor; milliseconds, of `cls` the score itself. */
const THRESHOLDS = { cls: [0.1, 0.25], fcp: [1800, 3000], inp: [200, 500], lcp: [2500, 4000], ttfb: [800, 1800] } as const;
/** A window of layout shifts ends after this time without one, and after this time in any case. */
const SHIFT_GAP_MS = 1000;
const SHIFT_WINDOW_MS = 5000;
/** One in so many of the slowest interactions is passed over: the next is their 98th percentile. */
const PASSED_OVER = 50;
const MIN_EVENT_MS = 40;

type Name = keyof typeof THRESHOLDS;

/** What the entries of the types that are watched say, as far as it is read. */
interface Entry extends PerformanceEntry {
  readonly value: number;
  readonly hadRecentInput: boolean;
  readonly interactionId?: number;
  readonly responseStart: number;
}

export function observeVitals(recording: Recording, actions: Actions): () => void {
  const tellVital = teller(recording, actions);
  // A page that was made ready in advance begins when the person asks for it.
  const activationMs = (pageLoad() as { activationStart?: number } | undefined)?.activationStart ?? 0;
  const since = (ms: number): number => Math.max(ms - activationMs, 0);
  // When the page was hidden first: what was painted since, nobody waited for.
  let hiddenMs = document.visibilityState === "hidden" && activationMs === 0 ? 0 : Infinity;
  let largestMs: number | undefined;
  let isPainted = false;
  const shifts = worstShifts();
  const interactions = slowestInteraction();

  const largest = watch("largest-contentful-paint", ({ startTime }) => {
    if (startTime < hiddenMs) largestMs = since(startTime);
  });
  const watched = [
    largest,
    watch("paint", ({ name, startTime }) => {
      if (name !== "first-contentful-paint" || startTime >= hiddenMs) return;
      isPainted = true;
      tellVital("fcp", since(startTime));
    }),
    watch("layout-shift", shifts.add),
    watch("event", interactions.add, { durationThreshold: MIN_EVENT_MS }),
    watch("navigation", ({ responseStart }) => {
      if (responseStart > 0 && responseStart <= performance.now()) tellVital("ttfb", since(responseStart));
    }),
  ];
  // What is largest is known once the person has done something: that may bring up what is larger.
  const settle = (): void => {
    largest.flush();
    largest.stop();
    tellVital("lcp", largestMs);
  };
  // The page is hidden, perhaps for good: what is known is told, and told again later where it has grown.
  const leave = (nowMs: number): void => {
    hiddenMs = Math.min(hiddenMs, nowMs);
    for (const one of watched) one.flush();
    settle();
    if (isPainted) tellVital("cls", shifts.worst());
    tellVital("inp", interactions.slowest());
  };
  const stopInput = listen(["keydown", "click"], (event) => {
    if (!event.isTrusted) return;
    stopInput();
    setTimeout(settle);
  });
  return all(
    stopInput,
    listen(["visibilitychange", "pagehide"], (event) => {
      if (event.type === "pagehide" || document.visibilityState === "hidden") leave(event.timeStamp);
    }),
    () => leave(performance.now()),
    ...watched.map((one) => one.stop),
  );
}

/** Tells a vital when it is known, and when it has changed. */
function teller(recording: Recording, actions: Actions): (name: Name, value: number | undefined) => void {
  const told: Partial<Record<Name, { id: string; value: number }>> = {};
  return (name, value) => {
    const before = told[name];
    if (value === undefined || before?.value === value || !recording.active()) return;
    const { id } = (told[name] = { id: before?.id ?? randomHex(8), value });
    const [good, poor] = THRESHOLDS[name];
    const rating = value <= good ? "good" : value <= poor ? "needs-improvement" : "poor";
    const context = actions.pageView;
    recording.custom("otel.web_vital", { ...idsOf(context), name, value, rating });
    const facts = { name, value, delta: value - (before?.value ?? 0), id, rating, navigation_type: pageLoad()?.type.replace("_", "-") };
    const attributes = Object.fromEntries(Object.entries(facts).map(([key, fact]) => ["browser.web_vital." + key, fact]));
    const body = `${name} ${Number(value.toPrecision(3))}, ${rating}`;
    tell(recording, { name: "browser.web_vital", context, severity: INFO, body, attributes });
  };
}

/** The worst window of layout shifts that no input explains; undefined where the browser does not tell of any. */
function worstShifts(): { add(entry: Entry): void; worst(): number | undefined } {
  let [worst, sum, firstMs, lastMs] = [0, 0, 0, -Infinity];
  return {
    add({ value, hadRecentInput, startTime }) {
      if (hadRecentInput) return;
      const goesOn = startTime - lastMs < SHIFT_GAP_MS && startTime - firstMs < SHIFT_WINDOW_MS;
      if (!goesOn) [sum, firstMs] = [0, startTime];
      sum += value;
      lastMs = startTime;
      worst = Math.max(worst, sum);
    },
    worst: () => (isSupported("layout-shift") ? worst : undefined),
  };
}

/** How long the person waited for the page to show what their input did; undefined when there was none to wait for. */
function slowestInteraction(): { add(entry: Entry): void; slowest(): number | undefined } {
  const longest = new Map<number, number>();
  // Of all interactions, short ones too, where the browser counts them.
  const counted = (): number => (performance as { interactionCount?: number }).interactionCount ?? 0;
  const before = counted();
  return {
    // Several events belong to one interaction: it is as long as the longest.
    add({ interactionId, duration }) {
      if (interactionId) longest.set(interactionId, Math.max(longest.get(interactionId) ?? 0, duration));
    },
    slowest() {
      const passedOver = Math.floor(Math.max(longest.size, counted() - before) / PASSED_OVER);
      return [...longest.values()].sort((one, other) => other - one)[Math.min(longest.size - 1, passedOver)];
    },
  };
}

interface Watched {
  /** Takes the entries that are there and have not been given yet. */
  flush(): void;
  stop(): void;
}

function isSupported(type: string): boolean {
  return PerformanceObserver.supportedEntryTypes?.includes(type) ?? false;
}

function watch(type: string, take: (entry: Entry) => void, more?: object): Watched {
  const takeAll = (entries: PerformanceEntryList): void => {
    for (const entry of entries) attempt(() => take(entry as Entry));
  };
  const observer = new PerformanceObserver((list) => takeAll(list.getEntries()));
  if (isSupported(type)) observer.observe({ type, buffered: true, ...more });
  return { flush: () => takeAll(observer.takeRecords()), stop: () => observer.disconnect() };
}

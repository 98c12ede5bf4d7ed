// What is observed on a page beside its DOM. Order counts: what starts a trace comes before what belongs to one.
import { actionsOf } from "./actions";
import { observeConsole, observeErrors } from "./errors";
import { attempt } from "./guard";
import { observeNavigation } from "./navigation";
import { observeRequests } from "./propagation";
import type { Observer, Recording } from "./recording";
import { observeVitals } from "./vitals";

/** One that fails to start leaves the others at work. */
function observePage(recording: Recording): () => void {
  const actions = actionsOf(recording);
  const starts = [observeNavigation, observeRequests, observeErrors, observeConsole, observeVitals];
  const stops = [attempt(() => actions.listen()), ...starts.map((start) => attempt(() => start(recording, actions)))];
  return () => {
    for (const stop of stops) attempt(() => stop?.());
  };
}

export const observers: readonly Observer[] = [observePage];

// Who looks at the page: what it may offer, never what the server lets them do.
import { whoIsHere, type Visitor } from "./api";

export const visitor = $state<Visitor>({ logged_in: false, scopes: [], shared: null });

/** Asks the server; without an answer nothing is offered, and whatever is tried next says why. */
export async function lookAgain(): Promise<void> {
  const found = await whoIsHere(new AbortController().signal).catch(() => undefined);
  if (Array.isArray(found?.scopes)) Object.assign(visitor, found);
}

// What could not be sent yet, in IndexedDB: it outlives reloads, closed tabs and times without a network.
import { randomHex } from "../ids";
import { keys, read, write } from "../storage";
import type { Parcel } from "./post";

const DATABASE = "otel-replay";
const STORE = "parcels";
/** Of all pages of the origin; the oldest goes first. */
const MAX_BYTES = 32 * 1024 * 1024;
const MAX_AGE_MS = 3 * 24 * 3600_000;
/** In localStorage, before the name of a page. */
const NOTE = "otel-replay.left.";
/** Of a page; browsers keep five million for the whole origin. */
const MAX_NOTE_CHARS = 64 * 1024;

/** Page, number, time in milliseconds, bytes: all that choosing takes, so that no body is read for it. */
export type Key = [page: string, number: number, at: number, bytes: number];

export interface Keepable {
  parcel: Parcel;
  bytes: number;
  /** Where it is in the depot. */
  key?: Key;
}

interface Kept {
  readonly key: Key;
  readonly parcel: Parcel;
}

/**
 * The parcels of this page, and those that other pages have left. Where IndexedDB is blocked it keeps nothing.
 *
 * A page holds a Web Lock as long as it is there: what belongs to a page whose lock is free has nobody else to send it.
 */
export class Depot {
  readonly #page: string;
  #database: IDBDatabase | undefined;
  #numbers = 0;
  #release: (() => void) | undefined;

  constructor(readonly place: string) {
    this.#page = place + randomHex(8);
  }

  /**
   * Opens the database, which a page that is about to go has no time for, and takes this page's lock; takes over what
   * other pages have noted.
   */
  async open(): Promise<void> {
    this.#release ??= hold(this.#page);
    this.#database ??= await connected().catch(() => undefined);
    for (const name of keys("localStorage")) {
      if (!name.startsWith(NOTE)) continue;
      if (await this.#write(read("localStorage", name))) write("localStorage", name, undefined);
    }
  }

  /**
   * The page goes, and browsers do not promise that what it puts here in its last moment gets to IndexedDB: notes it,
   * up to 64 K characters, in localStorage, from where the next page takes it over. What is compressed was put here
   * before, or is on its way. Gives whether there was room for all.
   */
  note(parcels: readonly Keepable[]): boolean {
    let room = MAX_NOTE_CHARS;
    const fits = (body: Parcel["body"]): boolean => typeof body === "string" && (room -= body.length) > 0;
    const noted = parcels.filter(({ key, parcel }) => key && fits(parcel.body));
    write("localStorage", NOTE + this.#page, noted[0] && noted);
    return room > 0;
  }

  /** The page goes: a page that holds a lock or a connection could not come back from the browser's cache. */
  close(): void {
    this.#database?.close(); // what it was told before is done first
    this.#database = undefined;
    this.#release?.();
    this.#release = undefined;
  }

  /** Keeps parcels, if it can, in one transaction that is done even if the page is not there any more. */
  put(parcels: readonly Keepable[]): void {
    if (!this.#database || parcels.length === 0) return;
    for (const one of parcels) one.key = [this.#page, this.#numbers++, Date.now(), one.bytes];
    void this.#write(parcels);
  }

  /** Those of the parcels that are kept. */
  remove(parcels: readonly { readonly key?: Key }[]): void {
    const keys = parcels.flatMap(({ key }) => (key ? [key] : []));
    if (keys.length > 0) void this.#run("readwrite", (store) => keys.map((key) => store.delete(key)).at(-1)!);
  }

  /**
   * Gives `send` what pages have left that are gone, page by page and in order, until it gives false; what it gives
   * true for is removed. No other tab does the same for a page at that time, where the browser has locks.
   */
  async empty(send: (parcel: Parcel) => Promise<boolean>): Promise<void> {
    const keys = await this.#keys();
    const pages = new Set(keys.map(([page]) => page));
    pages.delete(this.#page);
    for (const page of pages) {
      if (!page.startsWith(this.place)) continue; // it recorded into another receiver or project
      const goesOn = await alone(page, () => this.#emptyPage(page, send));
      if (!goesOn) return;
    }
  }

  async #emptyPage(page: string, send: (parcel: Parcel) => Promise<boolean>): Promise<boolean> {
    const kept = await this.#run<Kept[]>("readonly", (store) => store.getAll(IDBKeyRange.bound([page], [page, []])));
    for (const one of kept ?? []) {
      if (!(await send(one.parcel))) return false;
      this.remove([one]);
    }
    return true;
  }

  /** The keys of what is kept, after removing what is too old or too much. */
  async #keys(): Promise<Key[]> {
    const keys = ((await this.#run("readonly", (store) => store.getAllKeys())) ?? []) as unknown as Key[];
    let left = MAX_BYTES;
    const oldest = Date.now() - MAX_AGE_MS;
    const gone = [...keys].sort((a, b) => b[2] - a[2]).filter(([, , at, bytes]) => at < oldest || (left -= bytes) < 0);
    this.remove(gone.map((key) => ({ key })));
    return keys.filter((key) => !gone.includes(key));
  }

  #write(parcels: readonly Keepable[] | undefined): Promise<unknown> {
    return this.#run("readwrite", (store) => parcels!.map(({ key, parcel }) => store.put({ key, parcel })).at(-1)!);
  }

  /** Does one thing in a transaction of its own; undefined where that failed, as it does in a database that is full. */
  #run<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T | undefined> {
    return new Promise((resolve) => {
      try {
        const transaction = this.#database!.transaction(STORE, mode);
        const request = work(transaction.objectStore(STORE));
        transaction.oncomplete = () => resolve(request.result);
        transaction.onabort = () => resolve(undefined);
        transaction.commit();
      } catch {
        resolve(undefined);
      }
    });
  }
}

function connected(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "key" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Holds a page's lock until the returned function is called. */
function hold(page: string): () => void {
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  navigator.locks?.request(lockName(page), () => held).catch(() => undefined);
  return release;
}

/** Does something where no other tab does it for that page; true where one does. */
async function alone(page: string, work: () => Promise<boolean>): Promise<boolean> {
  // Locks need HTTPS. Without them two tabs may send the same, which the receiver keeps once.
  if (!navigator.locks) return work();
  return navigator.locks.request(lockName(page), { ifAvailable: true }, async (lock) => (lock ? work() : true));
}

function lockName(page: string): string {
  return `otel-replay.${page}`;
}

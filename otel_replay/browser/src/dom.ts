// The page as rrweb sees it.
import { record } from "@rrweb/record";
import type { Config } from "./options";
import { EDITABLE, maskInput, maskText } from "./privacy";
import { INCREMENTAL, type RrwebEvent } from "./rrweb";

/** By tag, so that fields of every type are masked: by type, rrweb leaves out those that are hidden. */
const MASKED_TAGS = { input: true, textarea: true, select: true };
const SECRET_TYPES = { password: true, hidden: true };

export interface PageObserver {
  /** A new full snapshot, as soon as the page has one at all. */
  snapshot(): void;
  stop(): void;
}

/**
 * rrweb tells of a frame that the page adds twice, with one id: before it is loaded, and with its content. A replay
 * keeps what it was told first.
 */
function isEmptyFrame({ type, data }: RrwebEvent): boolean {
  const { isAttachIframe, adds } = data as { isAttachIframe?: true; adds: { node: { childNodes: unknown[] } }[] };
  return type === INCREMENTAL && isAttachIframe === true && adds[0]?.node.childNodes.length === 0;
}

/** Begins with a full snapshot when the page is parsed, and gives `emit` every event until it is stopped. */
export function observePage(config: Config, emit: (event: RrwebEvent) => void): PageObserver {
  const typed = config.maskAllInputs;
  const masked = [typed && EDITABLE, config.maskTextSelector].filter(Boolean).join(", ");
  const stop = record<RrwebEvent>({
    emit: (event) => isEmptyFrame(event) || emit(event),
    maskInputOptions: (typed ? MASKED_TAGS : SECRET_TYPES) as object,
    maskInputFn: maskInput,
    ...(masked && { maskTextSelector: masked }),
    maskTextFn: maskText,
    ...(config.blockSelector && { blockSelector: config.blockSelector }),
    slimDOMOptions: true, // no scripts, comments or icons: none is seen, and a replay would try to fetch the icon
    checkoutEveryNms: config.checkoutMs,
    recordAfter: "DOMContentLoaded",
    errorHandler: () => true,
  });
  return {
    snapshot() {
      if (document.readyState !== "loading") record.takeFullSnapshot(true);
    },
    stop: stop ?? (() => undefined),
  };
}

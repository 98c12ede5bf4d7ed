// What canvases show, as pictures in their styles: a replay runs no script, and without scripts a canvas is an empty
// inline element. rrweb's own way would change every drawing function, and a replay of it would need scripts.
import { dataUrl, MAX_BYTES } from "./fetching";
import { attempt } from "./guard";

const EVERY_MS = 1000;
const NOTHING = "data:,";

export type Style = Record<string, string>;

export interface Canvases {
  /** The style in which a canvas is recorded; from now on it is looked at, until it is gone. */
  style(canvas: HTMLCanvasElement): Style;
  stop(): void;
}

/**
 * `tell` is given the style of a canvas that shows something new; `spend` says whether so many bytes may be kept. Without
 * `isLooking` a canvas has its place and no picture.
 */
export function canvases(
  tell: (canvas: Element, style: Style) => void,
  spend: (bytes: number) => boolean,
  isLooking: boolean,
): Canvases {
  let timer: ReturnType<typeof setInterval> | undefined;
  const pictures = new Map<HTMLCanvasElement, string>();
  const styled = (canvas: HTMLCanvasElement): Style => {
    const { display, width, height, backgroundColor } = getComputedStyle(canvas);
    return {
      display: display === "inline" ? "inline-block" : display,
      width,
      height,
      background: `${backgroundColor} url("${pictures.get(canvas) ?? NOTHING}") 0 0/100% 100% no-repeat content-box border-box`,
    };
  };
  const keep = async (canvas: HTMLCanvasElement, blob: Blob | null): Promise<void> => {
    if (!blob || blob.size > MAX_BYTES) return;
    const picture = await dataUrl(blob);
    if (picture === pictures.get(canvas) || !spend(blob.size)) return;
    pictures.set(canvas, picture);
    tell(canvas, styled(canvas));
  };
  /** In a frame, when what WebGL has drawn is still there. */
  const lookAtAll = (): void => {
    for (const canvas of pictures.keys()) {
      // It throws where another origin's image was drawn.
      const look = (): true => (canvas.toBlob((blob) => void keep(canvas, blob), "image/webp", 0.9), true);
      if (!canvas.isConnected || !attempt(look)) pictures.delete(canvas);
    }
  };
  return {
    style(canvas) {
      if (isLooking && !pictures.has(canvas)) pictures.set(canvas, NOTHING);
      if (pictures.size > 0) timer ??= setInterval(() => requestAnimationFrame(lookAtAll), EVERY_MS);
      return styled(canvas);
    },
    stop: () => clearInterval(timer),
  };
}

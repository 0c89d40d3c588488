/** Whether what is drawn is nearly black, as values of 16 bits are that nobody has stretched. */

/** The brightest channel of a nearly black image, of 0 to 255: clouds of a reflectance in 16 bits stay below it. */
const DARK = 64;
/** Pixels of a tile's edge that are looked at; each is the mean of many. */
const SIDE = 16;
/** The latest image of each tile, by place: its tile, and its brightest channel. */
const lights = new Map();

/** Notes how bright a tile is; what is no image, or has no pixel, says nothing. */
export async function noteLight(tile, data) {
  const key = `${tile.z}/${tile.x}/${tile.y}`;
  const brightest = await brightestOf(data).catch(() => null);
  if (brightest === null) lights.delete(key);
  else lights.set(key, { tile, brightest });
}

async function brightestOf(data) {
  const image = await createImageBitmap(new Blob([data]), { resizeWidth: SIDE, resizeHeight: SIDE });
  const context = new OffscreenCanvas(SIDE, SIDE).getContext("2d");
  context.drawImage(image, 0, 0);
  image.close();
  const pixels = context.getImageData(0, 0, SIDE, SIDE).data;
  let brightest = null;
  for (let at = 0; at < pixels.length; at += 4) {
    if (pixels[at + 3]) brightest = Math.max(brightest ?? 0, pixels[at], pixels[at + 1], pixels[at + 2]);
  }
  return brightest;
}

/** Whether there are images among the tiles that `shown` keeps, all of them nearly black; others are forgotten. */
export function isDark(shown) {
  for (const [key, { tile }] of lights) if (!shown(tile)) lights.delete(key);
  return lights.size > 0 && [...lights.values()].every(({ brightest }) => brightest < DARK);
}

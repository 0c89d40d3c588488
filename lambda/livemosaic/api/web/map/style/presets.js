/** What bands of scenes are usually shown together, by the common names of the STAC eo extension. */

/** Keys that catalogues use for assets of a band, where Items do not state its common name. */
const KEYS = {
  blue: ["blue", "B02", "B2"],
  green: ["green", "B03", "B3"],
  red: ["red", "B04", "B4"],
  nir: ["nir", "B08", "nir08", "B8A"],
  swir16: ["swir16", "B11"],
};

const composite = (title, ...bands) => ({ title, bands, query: (keys) => bands.map((band) => ["assets", keys[band]]) });

const index = (title, one, other, colormap) => ({
  title,
  bands: [one, other],
  query: (keys) => [
    ["expression", `(${keys[one]}-${keys[other]})/(${keys[one]}+${keys[other]})`],
    ["rescale", "-1,1"],
    ["colormap_name", colormap],
  ],
});

const PRESETS = [
  composite("True color", "red", "green", "blue"),
  composite("False color (near infrared)", "nir", "red", "green"),
  composite("Shortwave infrared", "swir16", "nir", "red"),
  index("NDVI (vegetation)", "nir", "red", "rdylgn"),
  index("NDWI (water)", "green", "nir", "rdbu"),
];

/** Assets by common name: as Items state it, or by their usual keys. */
function byCommonName(assets) {
  const stated = Object.entries(assets).flatMap(([key, asset]) =>
    [asset["eo:common_name"], ...(asset.bands?.length === 1 ? [asset.bands[0]["eo:common_name"]] : [])].filter(Boolean).map((name) => [name, key]));
  const usual = Object.entries(KEYS).map(([name, keys]) => [name, keys.find((key) => key in assets)]).filter(([, key]) => key);
  return { ...Object.fromEntries(usual), ...Object.fromEntries(stated.toReversed()) };
}

/** Name of an asset in an expression: others cannot be written there. */
const isName = (key) => /^[A-Za-z_]\w*$/.test(key);

/** The presets that scenes with these assets have, as queries by title. */
export function presetsOf(assets) {
  const keys = byCommonName(assets);
  const possible = PRESETS.filter(({ bands, query }) =>
    bands.every((band) => keys[band]) && (query(keys)[0][0] === "assets" || bands.every((band) => isName(keys[band]))));
  const bands = Object.keys(assets).map((key) => [`Asset ${key}`, new URLSearchParams({ assets: key })]);
  return Object.fromEntries([...possible.map(({ title, query }) => [title, new URLSearchParams(query(keys))]), ...bands]);
}

// Viewer request: queries that mean the same get the same text, and so the same place in the cache.
//
// Parameters are sorted by name; several of one name keep their order, which means something. On
// tiles, a parameter that the API does not know keeps its name and loses its value: the API refuses
// a misspelled name, and lists an unknown one in a header, so the response depends on the name alone.
// WMS reads names in any case (OGC 06-042, 6.8.1). What is not valid percent-encoding passes as it
// is: the API decides.
const KNOWN = __KNOWN__;
const WMS = /^\/(?:mosaics\/[^/]+\/)?wms$/;
const TILE = /^\/mosaics\/[^/]+\/tiles\/[^/]+\/[^/]+\/[^/]+\/[^/]+$/;
const PLAIN = /%(?:2C|2F|3A|3B|40|24)/g; // , / : ; @ $ have no meaning of their own in a query

function decode(text) {
  return decodeURIComponent(text.replace(/\+/g, "%20"));
}

function encode(text) {
  return encodeURIComponent(text).replace(PLAIN, decodeURIComponent);
}

function parameter(part, index, isTile, isWms) {
  const at = part.indexOf("=");
  const given = decode(at < 0 ? part : part.slice(0, at));
  const name = isWms ? given.toLowerCase() : given;
  const value = at < 0 || (isTile && KNOWN.indexOf(name) < 0) ? "" : decode(part.slice(at + 1));
  return { name: name, index: index, text: encode(name) + "=" + encode(value) };
}

function compare(a, b) {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : a.index - b.index;
}

function handler(event) {
  const request = event.request;
  const query = request.rawQueryString ? request.rawQueryString() : "";
  if (!query) return request;
  const isTile = TILE.test(request.uri);
  const isWms = WMS.test(request.uri);
  try {
    const parts = query.split("&").filter((part) => part !== "");
    const parameters = parts.map((part, index) => parameter(part, index, isTile, isWms));
    request.querystring = parameters.sort(compare).map((one) => one.text).join("&");
  } catch (error) {
    return request;
  }
  return request;
}

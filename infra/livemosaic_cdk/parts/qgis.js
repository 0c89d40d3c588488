// Viewer response: QGIS shows whatever its cache holds, for good and whatever its age, so it is kept
// from storing anything. The API does the same for clients that ask it themselves (`api/middleware.py`).
function handler(event) {
  const agent = event.request.headers["user-agent"];
  const response = event.response;
  if (agent && agent.value.includes("QGIS/")) response.headers["cache-control"] = { value: "no-store" };
  return response;
}

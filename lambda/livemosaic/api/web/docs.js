// Swagger UI for the API's OpenAPI document, with what its markup keeps from screen readers and keyboards.

const root = document.getElementById("swagger-ui");

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null, // a server of somebody else
});

/** Names a form's field by the parameter that it is of, or by what stands beside it. */
function label(field) {
  const row = field.closest("tr[data-param-name]");
  const beside = field.closest(".response-content-type, .content-type-wrapper, .body-param, .servers, .examples-select");
  const name = row?.dataset.paramName ?? beside?.querySelector("h4, label, small, .servers-title")?.textContent;
  field.setAttribute("aria-label", name?.trim() || "Value");
}

const ATTRIBUTES = [
  [".information-container", { role: "banner" }],
  [".scheme-container", { role: "region", "aria-label": "Authorization" }],
  [".opblock-tag", { "aria-level": "2" }],
  ["h4", { "aria-level": "3" }],
  ["h5", { "aria-level": "4" }],
  ["pre", { tabindex: "0" }], // scrolls
];

function mend() {
  for (const [selector, attributes] of ATTRIBUTES) {
    for (const found of root.querySelectorAll(selector)) {
      for (const [name, value] of Object.entries(attributes)) if (!found.hasAttribute(name)) found.setAttribute(name, value);
    }
  }
  for (const field of root.querySelectorAll("select, input, textarea")) {
    if (!field.labels?.length && !field.hasAttribute("aria-label")) label(field);
  }
  for (const table of root.querySelectorAll(".responses-table:not([aria-label])")) {
    const operation = table.closest(".opblock").querySelector(".opblock-summary-control");
    table.setAttribute("aria-label", `Responses of ${operation.textContent}`);
  }
  // A link inside a button cannot be reached: the button itself opens the operation.
  for (const link of root.querySelectorAll(".opblock-summary-control a[href]")) link.removeAttribute("href");
}

new MutationObserver(mend).observe(root, { childList: true, subtree: true });

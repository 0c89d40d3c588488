// Runs the code of CloudFront Functions: lines of JSON in, lines of JSON out.
const vm = require("vm");
const readline = require("readline");

const compiled = new Map();

function handlerOf(code) {
  if (!compiled.has(code)) {
    const context = vm.createContext({});  // the language alone, as at the edge
    vm.runInContext(`"use strict";\n${code}\n;globalThis.run = handler;`, context);
    compiled.set(code, context.run);
  }
  return compiled.get(code);
}

const eventHeaders = (headers) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, { value }]));

function changedHeaders({ code, viewer, headers }) {
  const request = { method: "GET", uri: "/", querystring: {}, headers: eventHeaders(viewer), cookies: {} };
  const response = { statusCode: 200, headers: eventHeaders(headers), cookies: {} };
  const changed = handlerOf(code)({ version: "1.0", request, response }).headers;
  return Object.fromEntries(Object.entries(changed).map(([name, { value }]) => [name, value]));
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const { code, uri, query, ...response } = JSON.parse(line);
  if (response.headers) {
    process.stdout.write(JSON.stringify({ headers: changedHeaders({ code, ...response }) }) + "\n");
    return;
  }
  const querystring = {};
  for (const part of (query ?? "").split("&").filter(Boolean)) {
    const [name, ...value] = part.split("=");
    const one = { value: value.join("=") };
    const key = name.toLowerCase(); // as the event has names
    if (querystring[key]) (querystring[key].multiValue ??= [{ ...querystring[key] }]).push(one);
    else querystring[key] = one;
  }
  const request = { method: "GET", uri, querystring, headers: {}, cookies: {} };
  Object.defineProperty(request, "rawQueryString", { value: () => query ?? undefined });
  const answer = handlerOf(code)({ version: "1.0", request });
  const rewritten = typeof answer.querystring === "string" ? answer.querystring : query;
  process.stdout.write(JSON.stringify({ uri: answer.uri, query: rewritten ?? null }) + "\n");
});

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

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const { code, uri, query } = JSON.parse(line);
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

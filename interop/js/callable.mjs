// Calls callables of a running Gantry with the real Firebase SDK and prints
// what it received as one JSON line a call.
//   node callable.mjs URL KEY
import { initializeApp } from "@firebase/app";
import { getFunctions, httpsCallableFromURL } from "@firebase/functions";

const [url, key] = process.argv.slice(2);

// The SDK sends the ID token of a signed-in user; a server-side caller of the
// old project used a key. The SDK has no public way to set the header, so the
// transport does.
const plain = globalThis.fetch;
globalThis.fetch = (input, init = {}) => {
  const headers = new Headers(init.headers);
  if (key) headers.set("Authorization", `Bearer ${key}`);
  return plain(input, { ...init, headers });
};

const functions = getFunctions(initializeApp({ projectId: "demo-gantry", apiKey: "none", appId: "1:1:web:1" }));

async function call(name, data) {
  try {
    const { data: result } = await httpsCallableFromURL(functions, `${url}/callable/${name}`)(data);
    console.log(JSON.stringify({ name, ok: true, result }));
  } catch (e) {
    console.log(JSON.stringify({ name, ok: false, code: e.code, message: e.message, details: e.details }));
  }
}

await call("pack100_healthCheck", null);
for (let i = 0; i < 4; i++) await call("checkRateLimit", { userId: "sdk-user", action: "KYC_SUBMIT" });
await call("checkGlobalRateLimit", { identifier: "203.0.113.77", action: "SIGNUP_RESERVE" });
await call("checkRateLimit", { userId: "sdk-user", action: "NO_SUCH_ACTION" });
await call("noSuchFunction", {});

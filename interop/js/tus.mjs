// Uploads a file to a running Gantry with the official tus client and prints
// one JSON line for each chunk that was accepted and one for the end.
//   node tus.mjs URL KEY FILE MIME USER CHUNK
import fs from "node:fs";
import path from "node:path";
import { Upload } from "tus-js-client";

const [url, key, file, filetype, userId, chunk] = process.argv.slice(2);
const say = (line) => console.log(JSON.stringify(line));

const upload = new Upload(fs.createReadStream(file), {
  endpoint: `${url}/v1/media/tus/`,
  headers: { Authorization: `Bearer ${key}` },
  metadata: { filename: path.basename(file), filetype, userId },
  uploadSize: fs.statSync(file).size,
  chunkSize: Number(chunk),
  retryDelays: Array(120).fill(250),
  onChunkComplete: (_size, accepted) => say({ accepted }),
  onSuccess: ({ lastResponse }) => say({ url: upload.url, upload: lastResponse.getHeader("X-Gantry-Upload"), body: lastResponse.getBody() }),
  onError: (e) => say({ status: e.originalResponse?.getStatus() ?? 0, body: e.originalResponse?.getBody() ?? String(e) }),
});
upload.start();

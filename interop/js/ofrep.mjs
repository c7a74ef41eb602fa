// OpenFeature's own web provider against a running Gantry, one JSON line per
// reading of the flags: node ofrep.mjs URL sse|poll COUNTRY. It reads at the
// start and at every change that the provider tells of, until standard input
// ends.
import { createInterface } from 'node:readline';
import { OpenFeature, ProviderEvents } from '@openfeature/web-sdk';
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { EventSource } from 'eventsource';

const [url, how, country] = process.argv.slice(2);
// Browsers have EventSource; without it the provider polls.
if (how === 'sse') globalThis.EventSource = EventSource;

const say = (value) => process.stdout.write(JSON.stringify(value) + '\n');
const provider = new OFREPWebProvider({ baseUrl: url, cacheMode: 'disabled', pollInterval: how === 'poll' ? 200 : 0 });
await OpenFeature.setContext({ targetingKey: 'alice', country });
await OpenFeature.setProviderAndWait(provider);
const client = OpenFeature.getClient();

const read = (changed) => say({
  changed,
  flags: {
    launch_mode: client.getStringDetails('launch_mode', 'default'),
    signup_open: client.getBooleanDetails('signup_open', false),
    region_open: client.getBooleanDetails('region_open', false),
    maintenance: client.getBooleanDetails('maintenance', false),
    new_checkout: client.getBooleanDetails('new_checkout', true),
    wrong_type: client.getBooleanDetails('launch_mode', true),
  },
});
client.addHandler(ProviderEvents.ConfigurationChanged, (details) => read(details.flagsChanged));
client.addHandler(ProviderEvents.Stale, (details) => say({ stale: details.message }));
client.addHandler(ProviderEvents.Error, (details) => say({ error: details.message }));
read([]);

for await (const line of createInterface({ input: process.stdin })) {
  // A line is the country of a new context.
  await OpenFeature.setContext({ targetingKey: 'alice', country: line });
  read([]);
}
await OpenFeature.close();

import { expect, test } from "vitest";

import { peerKey, providerByName, providerOfHost, providerOfHosts, providerOfSmartHost } from "./provider.ts";
import { otherProvider, providers } from "./providers.ts";

test.each([
  ["gmail-smtp-in.l.google.com", "google"],
  ["ASPMX.L.GOOGLE.COM.", "google"],
  ["mta5.am0.yahoodns.net", "yahoo"],
  ["outlook-com.olc.protection.outlook.com", "microsoft"],
  ["example-com.mail.protection.outlook.com", "office365"],
  ["example-com.k-v1.mx.microsoft", "office365"],
  ["mx01.mail.icloud.com", "apple"],
  ["smtp-in.orange.fr", "orange"],
  ["smtp-in.sfr.fr", "sfr"],
  ["smtpz4.laposte.net", "laposte"],
  ["mx1.free.fr", "free"],
  ["mx00.gmx.net", "gmx"],
  ["mx-ha02.web.de", "gmx"],
  ["eu-smtp-inbound-1.mimecast.com", "mimecast"],
  ["mx0a-00000001.pphosted.com", "proofpoint"],
  ["mx.notgoogle.com", "other"],
  ["google.com.evil.test", "other"],
  ["mx.example.test", "other"],
  ["localhost", "other"],
])("%s belongs to %s", (host, provider) => {
  expect(providerOfHost(host).name).toBe(provider);
});

test("a site belongs to the provider of its most preferred host", () => {
  const hosts = [
    { name: "backup.example.test", preference: 50 },
    { name: "aspmx.l.google.com", preference: 1 },
  ];
  expect(providerOfHosts(hosts).name).toBe("google");
  expect(providerOfHosts([]).name).toBe("other");
});

test("a smart host takes what its owner says, else what its provider takes, else more than a stranger", () => {
  expect(providerOfSmartHost("mx.partner.test", 3)).toMatchObject({ name: "other", connections: 3 });
  expect(providerOfSmartHost("aspmx.l.google.com")).toBe(providerOfHost("aspmx.l.google.com"));
  expect(providerOfSmartHost("aspmx.l.google.com", 7)).toMatchObject({ name: "google", connections: 7 });
  expect(providerOfSmartHost("mx.partner.test").connections).toBeGreaterThan(otherProvider.connections);
});

test("strangers are judged by site, providers as a whole", () => {
  expect(peerKey("other", "mx.a.test")).not.toBe(peerKey("other", "mx.b.test"));
  expect(peerKey("google", "mx.a.test")).toBe(peerKey("google", "mx.b.test"));
});

test("the table is sound: names and suffixes are unique, limits positive, each with its source", () => {
  const names = providers.map(({ name }) => name);
  const suffixes = providers.flatMap(({ mxSuffixes }) => mxSuffixes);
  expect(new Set(names).size).toBe(names.length);
  expect(new Set(suffixes).size).toBe(suffixes.length);
  for (const provider of [...providers, otherProvider]) {
    expect(provider.connections).toBeGreaterThan(0);
    expect(provider.messagesPerConnection).toBeGreaterThan(0);
    expect(provider.source).not.toBe("");
    expect(provider.name).toMatch(/^[a-z0-9]+$/);
    expect(providerByName(provider.name)).toBe(provider);
  }
  for (const { name, mxSuffixes } of providers) {
    for (const suffix of mxSuffixes)
      expect([suffix, providerOfHost(`mx1.${suffix}`).name]).toEqual([suffix, name]);
  }
});

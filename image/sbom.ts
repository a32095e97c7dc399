/**
 * What is in the image, as CycloneDX 1.6 (ECMA-424): every Debian and npm package with version, licence, digest and
 * package URL, and Node with the name its flaws are published under. Pure; the same for the same image.
 */
import type { PackedImage } from "./oci/archive.ts";
import { hexOf } from "./oci/digest.ts";
import type { DebianPackage } from "./parts/debian.ts";
import type { NpmPackage } from "./parts/npm.ts";

export interface SbomFacts {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly architecture: string;
  readonly created: string;
  readonly debianRelease: string;
  readonly debian: readonly DebianPackage[];
  readonly node: NpmPackage;
  readonly packages: readonly NpmPackage[];
  readonly packed: PackedImage;
}

export function sbomOf(facts: SbomFacts): object {
  const { name, version, packed } = facts;
  const image = `pkg:oci/${name}@${encodeURIComponent(packed.digest)}?arch=${facts.architecture}`;
  const own = component("application", {
    name,
    version,
    purl: npmUrl(name, version),
    license: facts.license,
  });
  const components = [
    own,
    {
      ...component("application", {
        name: "node",
        version: facts.node.version,
        purl: npmUrl(facts.node.name, facts.node.version),
        license: facts.node.license,
      }),
      cpe: `cpe:2.3:a:nodejs:node.js:${facts.node.version}:*:*:*:*:*:*:*`,
      ...hashes(facts.node.integrity),
    },
    ...facts.debian.map((one) => ({
      ...component("library", {
        name: one.name,
        version: one.version,
        purl:
          `pkg:deb/debian/${encodeURIComponent(one.name)}@${encodeURIComponent(one.version)}` +
          `?arch=${facts.architecture}&distro=debian-${facts.debianRelease}`,
        license: null,
      }),
      // Debian has the terms in words.
      licenses: [{ license: { name: `see /usr/share/doc/${one.name}/copyright` } }],
      hashes: [{ alg: "SHA-256", content: one.sha256 }],
    })),
    ...unique(facts.packages).map((one) => ({
      ...component("library", { ...one, purl: npmUrl(one.name, one.version) }),
      ...hashes(one.integrity),
    })),
  ];
  return {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    serialNumber: `urn:uuid:${uuidOf(hexOf(packed.digest))}`,
    version: 1,
    metadata: {
      timestamp: facts.created,
      component: {
        type: "container",
        "bom-ref": image,
        name,
        version,
        purl: image,
        hashes: [{ alg: "SHA-256", content: hexOf(packed.digest) }],
      },
    },
    components,
    dependencies: [{ ref: image, dependsOn: components.map((one) => one["bom-ref"]) }],
  };
}

interface Named {
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly license: string | null;
}

function component(type: "application" | "library", { name, version, purl, license }: Named) {
  return {
    type,
    "bom-ref": purl,
    name,
    version,
    purl,
    ...(license === null ? {} : { licenses: [licenseOf(license)] }),
  };
}

/** An SPDX expression where it is one; npm also has "SEE LICENSE IN …". */
function licenseOf(text: string) {
  const isExpression = /^\(?[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*\)?$/.test(text);
  return isExpression ? { expression: text } : { license: { name: text } };
}

/** The same version may stand in two places. */
function unique(packages: readonly NpmPackage[]): readonly NpmPackage[] {
  return [...new Map(packages.map((one) => [npmUrl(one.name, one.version), one])).values()];
}

function npmUrl(name: string, version: string): string {
  return `pkg:npm/${name.replace("@", "%40")}@${encodeURIComponent(version)}`;
}

function hashes(integrity: string | null) {
  if (integrity === null || !integrity.startsWith("sha512-")) return {};
  const content = Buffer.from(integrity.slice("sha512-".length), "base64").toString("hex");
  return { hashes: [{ alg: "SHA-512", content }] };
}

/** RFC 9562 §5.8: version 8, whose content is ours to choose. */
function uuidOf(hex: string): string {
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 0x3) | 0x8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join("-");
}

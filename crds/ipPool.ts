/**
 * IpPool: egress addresses with their EHLO names, warm-up, checks and reputation. One address belongs to
 * one pool of the whole cluster.
 */
import { z } from "zod";

import { conditions, dnsLabel, hostName, ipAddress, timestamp, utcDay } from "./fields.ts";

const address = z.strictObject({
  name: dnsLabel.meta({ description: "Name of the address in status, metrics and logs." }),
  ip: ipAddress.meta({ description: "The address mail leaves from, as receivers see it." }),
  ehloName: hostName.meta({
    description: "Name given in EHLO; it must resolve to `ip` and be its reverse name.",
  }),
  state: z
    .enum(["Active", "Paused"])
    .default("Active")
    .meta({ description: "Paused: what is in flight ends, nothing new starts." }),
});

const rampDay = z.int().min(1).max(10_000_000);

export const ipPoolSpec = z.strictObject({
  addresses: z
    .array(address)
    .min(1)
    .max(64)
    .meta({
      description: "The addresses.",
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["name"],
    }),
  egress: z.enum(["Bound", "Translated"]).optional().meta({
    description:
      "How mail comes to leave from `ip`. Bound: the address is on an interface of the pod, and the relay connects from it; while it is not there, nothing is sent from it. Translated: the network (a NAT or egress gateway) gives the pod's connections that address, and the relay binds nothing. Default: Translated in a cluster, Bound in local mode.",
  }),
  warmup: z
    .strictObject({
      ramp: z.enum(["Standard", "Conservative", "Custom", "None"]).default("Standard").meta({
        description:
          "How the daily limit of a new address grows. Standard: 200, 500, 1,000 … Conservative: a third more each day from 300. Custom: `dailyLimits`. None: addresses are warm already, no limit.",
      }),
      dailyLimits: z.array(rampDay).max(90).optional().meta({
        description:
          "Recipients a day for each stage of a Custom ramp; after the last stage the address is warm.",
        "x-kubernetes-list-type": "atomic",
      }),
    })
    .prefault({})
    .meta({
      description:
        "Warm-up: an address goes one stage up a UTC day when it used 90 % of the stage and is healthy, else it holds.",
    }),
  checks: z
    .strictObject({
      forwardConfirmedReverseDns: z.enum(["Require", "Warn", "Skip"]).default("Require").meta({
        description:
          "PTR of the address gives `ehloName` and that name resolves to the address. Require: it sends only when that holds. Warn: it sends, and a condition tells. Skip: nobody looks.",
      }),
    })
    .prefault({})
    .meta({ description: "What an address must prove before it sends." }),
});
export type IpPoolSpec = z.output<typeof ipPoolSpec>;

const count = z.int().min(0);

export const ipPoolStatus = z.strictObject({
  observedGeneration: count.optional().meta({ description: "Generation of the spec this status speaks of." }),
  conditions: conditions.optional(),
  ready: z
    .string()
    .max(32)
    .optional()
    .meta({ description: "Addresses that may send, for the table: `2/2`." }),
  warming: z
    .string()
    .max(32)
    .optional()
    .meta({ description: "Least advanced stage, for the table: `day 9/14` or `warm`." }),
  today: z
    .string()
    .max(64)
    .optional()
    .meta({ description: "Use and limit of this UTC day, for the table: `20/400`." }),
  reputation: z
    .enum(["Unknown", "Good", "Fair", "Poor"])
    .optional()
    .meta({ description: "Worst rating of the addresses." }),
  addresses: z
    .array(
      z.strictObject({
        name: z.string().max(63).meta({ description: "Name of the address." }),
        ip: z.string().max(45).meta({ description: "The address." }),
        state: z
          .enum(["Warming", "Warm", "Paused", "Blocked"])
          .meta({ description: "Blocked: a required check failed or another pool owns it." }),
        pods: z.array(z.string().max(253)).max(100).optional().meta({
          description:
            "Pods whose mail leaves from the address, as NAMESPACE/NAME: with Translated, those an egress policy has to give it; with Bound, pods that have it, as far as any has.",
          "x-kubernetes-list-type": "atomic",
        }),
        checks: z
          .array(
            z.strictObject({
              name: z.enum(["ForwardConfirmedReverseDns"]).meta({ description: "The check." }),
              result: z.enum(["Pass", "Fail", "Unknown"]).meta({ description: "Its result." }),
              detail: z.string().max(512).meta({ description: "Expected and seen." }),
            }),
          )
          .max(8)
          .meta({ description: "Checks.", "x-kubernetes-list-type": "atomic" }),
        warmup: z
          .strictObject({
            stage: z.int().min(1).meta({ description: "Stage of the ramp, from 1." }),
            stages: z.int().min(1).meta({ description: "Stages in all." }),
            startedOn: utcDay.meta({ description: "First day of the ramp." }),
            stageSince: utcDay.meta({ description: "First day of this stage." }),
            day: utcDay.meta({ description: "The UTC day of the figures below." }),
            dayLimit: count.meta({ description: "Recipients it may send to today." }),
            usedToday: count.meta({ description: "Recipients accepted or in flight today." }),
            tomorrowLimit: count.optional().meta({
              description: "Recipients it may send to tomorrow, as things stand.",
            }),
            nextStage: z.string().max(128).meta({ description: "When it moves on, or why it holds." }),
          })
          .optional()
          .meta({ description: "Warm-up; absent when warm." }),
        reputation: z
          .strictObject({
            rating: z
              .enum(["Unknown", "Good", "Fair", "Poor"])
              .meta({ description: "Rating over seven days; Unknown under 100 recipients." }),
            delivered7d: count.meta({ description: "Recipients delivered to in seven days." }),
            bouncedPermille: count.meta({ description: "Of thousand, refused for the recipient's sake." }),
            blockedPermille: count.meta({ description: "Of thousand, refused for our reputation's sake." }),
          })
          .optional()
          .meta({ description: "Reputation, rounded." }),
        shares: z
          .array(
            z.strictObject({
              pod: z.string().max(253).meta({ description: "Pod, as NAMESPACE/NAME of its relay's pod." }),
              permille: z
                .int()
                .min(0)
                .max(1000)
                .meta({ description: "Part of the address's allowance it may hold, in thousandths." }),
              day: utcDay.optional().meta({ description: "Day of `used`." }),
              used: z.record(z.string().max(63), count).optional().meta({
                description: "Recipients it used on that day by provider, `total` in all.",
                maxProperties: 256,
              }),
              spoolSince: timestamp.optional().meta({
                description:
                  "Since when the pod's queue volume knows its use. One that began later has lost what it used and sends nothing more on that day.",
              }),
              goneOn: utcDay.optional().meta({
                description:
                  "Day on which the pod was found gone. Its part is free again when the day is over: what it used last is unknown.",
              }),
            }),
          )
          .max(100)
          .optional()
          .meta({
            description:
              "Who may spend the allowance. The parts never exceed 1000 together; one shrinks only when its pod has confirmed it.",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["pod"],
          }),
      }),
    )
    .max(64)
    .optional()
    .meta({
      description: "The addresses.",
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["name"],
    }),
  podAddresses: z
    .array(
      z.strictObject({
        pod: z.string().max(253).meta({ description: "Pod, as NAMESPACE/NAME." }),
        addresses: z.array(z.string().max(63)).max(64).meta({
          description: "Names of the addresses on its interfaces.",
          "x-kubernetes-list-type": "atomic",
        }),
      }),
    )
    .max(100)
    .optional()
    .meta({
      description:
        "With Bound: which addresses each pod said last that it has. A pod that is not listed has said nothing yet, or is of an older version.",
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["pod"],
    }),
  figuresAt: timestamp.optional().meta({
    description: "When the figures of this status last moved; they move at most once a minute.",
  }),
  records: z
    .array(
      z.strictObject({
        name: z.string().max(253).meta({ description: "Name of the record." }),
        type: z.enum(["A", "AAAA", "PTR"]).meta({ description: "Type of the record." }),
        expected: z.string().max(253).meta({ description: "Value to publish." }),
        seen: z
          .array(z.string().max(253))
          .max(16)
          .meta({ description: "Values seen.", "x-kubernetes-list-type": "atomic" }),
        state: z
          .enum(["Unchecked", "Verified", "Missing", "Different", "Unreachable"])
          .meta({ description: "Whether what is seen will do." }),
      }),
    )
    .max(256)
    .optional()
    .meta({ description: "The records the addresses need.", "x-kubernetes-list-type": "atomic" }),
  history: z
    .array(
      z.strictObject({
        at: timestamp.meta({ description: "When." }),
        address: z.string().max(63).meta({ description: "Which address." }),
        decision: z
          .enum(["Started", "Advanced", "Held", "Warm", "Paused", "Resumed"])
          .meta({ description: "What was decided." }),
        reason: z.string().max(512).meta({ description: "Why, with the number." }),
      }),
    )
    .max(50)
    .optional()
    .meta({ description: "The last decisions, newest first.", "x-kubernetes-list-type": "atomic" }),
});
export type IpPoolStatus = z.output<typeof ipPoolStatus>;

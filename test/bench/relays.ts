/** The relays of the benchmark: ours as it ships, and Postfix tuned, each fresh and on loopback. */
import { startPostfix, tunedRelaySettings } from "../support/peers/postfix.ts";
import { smarthostRoute, startRelay, testConfig } from "../support/relayProcess.ts";

export interface MeasuredRelay extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
}

export interface RelayKind {
  readonly name: string;
  start(sinkPort: number): Promise<MeasuredRelay>;
}

export const postfixTuned: RelayKind = {
  name: "postfix-tuned",
  async start(sinkPort) {
    const postfix = await startPostfix({
      settings: {
        ...tunedRelaySettings({ host: "127.0.0.1", port: sinkPort }),
        // A relay accepts for others than itself; loopback only.
        smtpd_relay_restrictions: "permit_mynetworks, reject",
      },
    });
    return {
      port: postfix.port,
      pid: postfix.masterPid,
      [Symbol.asyncDispose]: () => postfix[Symbol.asyncDispose](),
    };
  },
};

/** All a default installation has is on, but signing: the sender's domain has no keys here, as for Postfix. */
export const ours: RelayKind = {
  name: "smtp-relay",
  async start(sinkPort) {
    return startRelay({
      config: (listenerPort) => testConfig({ listenerPort, routes: [smarthostRoute(sinkPort)] }),
      logLevel: "warn",
    });
  },
};

import type { GatewaySettings } from '../gateway/gateway.ts';

/** With less, a drain has no time to tell clients and to commit what was accepted, in milliseconds. */
const LEAST_MS = 1_000;
/** The gateways' part of the time, if there are any. The store has the rest. */
const GATEWAY_SHARE = 0.75;
/** How long `/readyz` says no before a drain continues, if a load balancer may be watching, in milliseconds. */
const NOTICE_MS = 1_500;
/** How long connections have to close after their last answers, in milliseconds. */
const LAST_ANSWERS_MS = 1_000;
/** A finished gateway then leaves Redis, which may not answer, and reports its metrics, in milliseconds. */
const EXIT_MS = 750;
/** None of these takes more than this part of the gateways' time, so that even a short drain leaves time to answer sends. */
const PART_MAX = 0.25;

/** Deadlines of a drain, from its beginning, in milliseconds. Workers that have not finished by then are killed. */
export function drainDeadlines(shutdownTimeoutMs: number): {
  readonly gateways: number;
  readonly all: number;
} {
  const all = Math.max(shutdownTimeoutMs, LEAST_MS);
  return { gateways: all * GATEWAY_SHARE, all };
}

/**
 * How a gateway spends its part of a drain.
 * @param watched whether a load balancer may look at `/readyz`
 */
export function gatewayDrain(shutdownTimeoutMs: number, watched: boolean): GatewaySettings['drain'] {
  const { gateways } = drainDeadlines(shutdownTimeoutMs);
  const part = (most: number): number => Math.min(most, gateways * PART_MAX);
  const noticeMs = watched ? part(NOTICE_MS) : 0;
  const lastAnswersMs = part(LAST_ANSWERS_MS);
  return { noticeMs, lastAnswersMs, patienceMs: gateways - noticeMs - lastAnswersMs - part(EXIT_MS) };
}

import type { GatewaySettings } from '../gateway/gateway.ts';

/** Below this, a drain has no time to tell clients and to commit what was taken in, in milliseconds. */
const LEAST_MS = 1_000;
/** Part of the time that is the gateways', if there are any; the store has what they leave. */
const GATEWAY_SHARE = 0.75;
/** `/readyz` says no for this long before a drain goes on, where a load balancer may be watching, in milliseconds. */
const NOTICE_MS = 1_500;
/** Connections have this long to close after their last answers, in milliseconds. */
const LAST_ANSWERS_MS = 1_000;
/** A gateway that is through leaves Redis, which may not answer, and tells what it has counted, in milliseconds. */
const EXIT_MS = 750;
/** None of these takes more than this part of the gateways' time: of a short one, too, something is left to answer sends in. */
const PART_MAX = 0.25;

/** Deadlines of a drain, from its beginning, in milliseconds: who has not finished by then is killed. */
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

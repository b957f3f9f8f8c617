/** The lasting rules of a session as `GET sessions/{id}/rules` tells them. Pure. */

export interface Rule {
  readonly id: string;
  /** As the agent writes it: `Bash(pip install *)`. */
  readonly rule: string;
  readonly behavior: 'allow' | 'deny' | 'ask';
  readonly scope: string;
  /** The scope in words. */
  readonly where: string;
  readonly file: string | null;
  readonly revocable: boolean;
}

/** Undefined: the answer is not of this kind. Fields at their defaults may be left out. */
export function readRules(value: unknown): readonly Rule[] | undefined {
  if (typeof value !== 'object' || value === null || !('rules' in value) || !Array.isArray(value.rules)) {
    return undefined;
  }
  const rules = value.rules.map(readRule);
  return rules.every(rule => rule !== undefined) ? rules : undefined;
}

function readRule(value: unknown): Rule | undefined {
  if (typeof value !== 'object' || value === null) {
    return undefined;
  }
  const { id, rule, behavior, scope, where, words, file, revocable } = value as Readonly<Record<string, unknown>>;
  const text = (known: unknown): string => (typeof known === 'string' ? known : '');
  if (typeof id !== 'string' || typeof rule !== 'string' || (behavior !== 'allow' && behavior !== 'deny' && behavior !== 'ask')) {
    return undefined;
  }
  return {
    id, rule, behavior, scope: text(scope), where: text(where) || text(words) || text(scope),
    file: typeof file === 'string' ? file : null, revocable: revocable === true
  };
}

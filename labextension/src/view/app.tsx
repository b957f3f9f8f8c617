/** The panel from top to bottom. */

import type { JSX } from 'preact';
import { useRef } from 'preact/hooks';
import type { Session } from '../protocol.js';
import { WaitingChanges } from './cellChange.js';
import type { Chat } from './chat.js';
import { Composer } from './composer.js';
import { ChatProvider } from './context.js';
import { Conversation } from './conversation.js';
import { Header } from './header.js';
import { t } from './i18n.js';
import { Icon } from './icons.js';
import { BypassLine } from './picks.js';
import { PlanStrip } from './plan.js';
import { Queue } from './queue.js';
import { NewerSession, TroubleCard } from './notice.js';
import { passOn } from './shortcutKeys.js';
import { statusWords } from './status.js';
import { voiceIsOn } from './voice.js';

interface AppProps {
  readonly chat: Chat;
  /** Grows when anything changed; the parts look for themselves at what. */
  readonly version: number;
}

export function App({ chat }: AppProps): JSX.Element {
  const { session, transcript } = chat;
  const look = useKept(session);
  const changes = session?.pending_permissions.filter(each => each.change !== null) ?? [];
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === 'Escape' && !event.defaultPrevented && chat.busy && !chat.stopping) {
      event.preventDefault();
      chat.stop();
    }
    // What is typed here is for the panel; of the shortcuts of the page only those that mean nothing here.
    event.stopPropagation();
    passOn(event);
  };
  return (
    <ChatProvider value={chat}>
      <section class="al" role="region" aria-label={t('Agent chat')} onKeyDown={onKey}>
        {session?.demo && (
          <div class="al-banner">
            <Icon name="info" />
            <span>{t('Demo model: scripted answers')}</span>
          </div>
        )}
        <Header chat={chat} session={look} words={statusWords(chat, false).text} />
        <Conversation chat={chat} />
        <footer class="al-foot">
          <NewerSession show={chat.showNewer} />
          {chat.trouble && <TroubleCard trouble={chat.trouble} />}
          {transcript && <PlanStrip transcript={transcript} busy={chat.busy} />}
          {changes.length > 1 && <WaitingChanges waiting={changes} />}
          {session && session.queue.length > 0 && <Queue items={session.queue} busy={chat.busy} />}
          {session?.permission_mode === 'bypassPermissions' && <BypassLine />}
          <Composer chat={chat} session={look} busy={chat.busy} stopping={chat.stopping}
            lost={chat.lostAt > 0} written={chat.composer.version} voice={voiceIsOn()} />
        </footer>
        <div class="al-unseen" role="status" aria-live="polite" aria-label={t('Announcements')}>
          {chat.announcement}
        </div>
      </section>
    </ChatProvider>
  );
}

/** The same session object while all it differs in is how far its log has come. */
function useKept(session: Session | undefined): Session | undefined {
  const kept = useRef(session);
  const before = kept.current;
  const same =
    before !== undefined && session !== undefined &&
    (Object.keys(session) as (keyof Session)[]).every(
      name => name === 'last_seq' || name === 'updated_at' || session[name] === before[name]
    );
  if (!same) {
    kept.current = session;
  }
  return kept.current;
}

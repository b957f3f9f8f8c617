/** The plugins that JupyterLab loads. */
import { bridge } from './bridge';
import { cellMenus } from './cellMenus';
import { chats } from './chats';
import { errorActions } from './errorActions';
import { inlinePrompt } from './inlinePrompt';
import { launcher } from './launcher';
import { notebookButton } from './notebookButton';
import { notifications } from './notifications';
import { proposals } from './proposals';
import { provenance } from './provenance';
import { sessions } from './sessions';
import { sidebar } from './sidebar';
import { split } from './split';
import { terminal } from './terminal';

export { IAlerts, IChats, INotebookChats, ISplits } from './tokens';

export default [
  chats, split, sidebar, notebookButton, launcher, terminal, errorActions, notifications, sessions,
  bridge, cellMenus, inlinePrompt, proposals, provenance
];
